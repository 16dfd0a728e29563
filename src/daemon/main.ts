/** Entry of the daemon, which the keeper starts with the configuration's path: no command line, so that it starts fast and stays small. */
import { report } from '../cli/report.ts';
import { loadConfig } from '../config.ts';
import { usageError } from '../errors.ts';
import type { KeeperFds } from './daemon.ts';
import { giveUp, keeperFds, runWorker } from './worker.ts';

let fds: KeeperFds | null = null;
try {
  const [file] = process.argv.slice(2);
  fds = keeperFds();
  if (file === undefined) throw usageError(`the daemon is started by the keeper: run 'hsm daemon'`);
  await runWorker(loadConfig(file), fds);
} catch (error) {
  const code = report(error, fds?.json ?? false);
  if (fds !== null) await giveUp(fds);
  process.exit(code);
}
