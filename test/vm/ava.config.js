// Tests in guests take minutes and download kernels: `npm run test:vm`, never part of `npm test`.
const config = {
  files: ['test/vm/*.test.ts'],
  extensions: ['ts'],
  timeout: '30m',
  concurrency: 2,
  serial: true,
  workerThreads: false,
};
export default config;
