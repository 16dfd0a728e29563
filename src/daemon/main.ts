/** Entry of the daemon, which the keeper starts with the configuration's path: no command line, so that it starts fast and stays small. */
import { report } from '../cli/report.ts';
import { loadConfig } from '../config.ts';
import { usageError } from '../errors.ts';
import { runWorker } from './worker.ts';

try {
  const [file] = process.argv.slice(2);
  if (file === undefined) throw usageError(`the daemon is started by the keeper: run 'hsm daemon'`);
  await runWorker(loadConfig(file));
} catch (error) {
  process.exit(report(error, false));
}
