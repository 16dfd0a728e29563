/** `hsm umount`: unmounts a managed filesystem and frees its device. */
import { spawnSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import type { Command } from 'commander';
import { withClient } from '../daemon/client.ts';
import type { Unmounted } from '../daemon/filesystems.ts';
import { errorCode, type ExitCode, exitCodes, HsmError } from '../errors.ts';
import { action, type Context, examples } from './command.ts';

export function define(command: Command): void {
  command
    .argument('<dir>', 'one of the filesystems of the config file')
    .addHelpText(
      'after',
      `
Refuses while stubs of it are being recalled or a job runs. A plain umount is safe too, but the running daemon then holds the
filesystem, guarded, and its device stays busy until 'hsm umount' or the daemon's end. 'hsm mount' mounts it again.
${examples('hsm umount /data')}`,
    )
    .action(
      action(async (context, dir: string) => {
        const path = realpathSync(dir);
        const { socket } = context.config();
        try {
          return show(context, (await withClient(socket, (client) => client.call('unmount', { path }))) as Unmounted);
        } catch (error) {
          if (errorCode(error) !== 'NO_DAEMON') throw error;
        }
        return unmountAlone(path);
      }),
    );
}

function show({ out, json, quiet }: Context, { path, free, elsewhere }: Unmounted): ExitCode {
  if (json) out.json({ path, free, elsewhere });
  else if (!quiet) {
    const where = elsewhere.length > 0 ? ` at ${elsewhere.join(', ')}` : ' somewhere, such as in a container';
    out.line(out.name(path), free ? ' is unmounted' : ' is unmounted; its device is busy: the filesystem is still mounted', free ? '' : out.name(where));
  }
  return free ? exitCodes.done : exitCodes.partial;
}

/** A denier lets go by itself. */
function unmountAlone(path: string): ExitCode {
  const { status, error } = spawnSync('umount', [path], { stdio: 'inherit', env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` } });
  if (error !== undefined) throw new HsmError(errorCode(error), `umount cannot be started: ${error.message}`, { cause: error });
  return status === 0 ? exitCodes.done : exitCodes.failed;
}
