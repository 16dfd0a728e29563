// Tests that run inside a guest.
const config = { files: ['test/vm/guest/*.test.ts'], extensions: ['ts'], timeout: '10m', concurrency: 1, serial: true, workerThreads: false, cache: false };
export default config;
