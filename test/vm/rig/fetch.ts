/** Fetches the kernels that are named, before tests that run side by side would all do it. */
import { kernelOf, type KernelName } from './kernels.ts';

for (const name of process.argv.slice(2)) {
  const { release } = await kernelOf(name as KernelName);
  process.stdout.write(`kernel ${name}: ${release}\n`);
}
