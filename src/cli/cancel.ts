/** `hsm cancel`: ends a recall request or a job, or all requests of a user, of a volume, or at all. */
import { type Command, Option } from 'commander';
import { withClient } from '../daemon/client.ts';
import { type ExitCode, exitCodes, HsmError, refusal, usageError } from '../errors.ts';
import { action, type Context, examples } from './command.ts';
import { uidOf } from './users.ts';

/** What the kernel lets a blocked reader get (facts about fanotify responses: kernel include/uapi/linux/fanotify.h). */
const errnos = ['EPERM', 'EIO', 'EBUSY', 'EAGAIN', 'ETXTBSY', 'ENOSPC', 'EDQUOT'];

interface Options {
  readonly errno?: string;
  readonly user?: string;
  readonly volume?: string;
  readonly all?: true;
  readonly force?: true;
}

export function define(command: Command): void {
  command
    .argument('[id]', "a request such as r12 ('hsm queue') or a job such as j3 ('hsm jobs')")
    .option('--user <name>', 'all that programs of this user wait for; others who wait for the same go on waiting')
    .option('--volume <barcode>', 'all requests on this volume')
    .option('--all', 'all requests, with --force')
    .option('--force', 'yes, all of them')
    .addOption(new Option('--errno <name>', 'the error that waiting readers get (default: EAGAIN)').choices(errnos))
    .addHelpText(
      'after',
      `\nUsers other than root and the group hsm can cancel what their own processes wait for.\n${examples('hsm cancel r12', 'hsm cancel r12 --errno EIO', 'hsm cancel j3', 'hsm cancel --user anna --errno EPERM', 'hsm cancel --all --force')}`,
    )
    .action(action(cancel));
}

async function cancel(context: Context, id: string | undefined, options: Options): Promise<ExitCode> {
  const { what, params } = wantedBy(id, options);
  const errno = options.errno === undefined ? {} : { errno: options.errno };
  const result = (await withClient(context.config().socket, (client) => client.call('cancel', { ...params, ...errno }))) as { cancelled: number };
  if (result.cancelled === 0) throw new HsmError('ENOENT', id === undefined ? 'nothing to cancel: no such request is queued' : `nothing to cancel: ${id} has ended, or never was`);
  if (context.json) context.out.json({ ...params, ...result });
  else if (!context.quiet) context.out.line(id === undefined ? `cancelled ${result.cancelled} ${result.cancelled === 1 ? 'request' : 'requests'} ${what}` : `cancelled ${what}`);
  return exitCodes.done;
}

function wantedBy(id: string | undefined, { errno, user, volume, all, force }: Options): { readonly what: string; readonly params: Readonly<Record<string, unknown>> } {
  if ([id, user, volume, all].filter((each) => each !== undefined).length !== 1) throw usageError('name a request or a job, or say --user, --volume or --all');
  if (force === true && all !== true) throw usageError('--force is for --all');
  if (user !== undefined) return { what: `of ${user}`, params: { user: String(uidOf(user)) } };
  if (volume !== undefined) return { what: `on ${volume}`, params: { volume } };
  if (id === undefined) {
    if (force !== true) throw refusal('every reader that waits would get an error: say --force, or hsm pause all');
    return { what: 'in all', params: { all: true } };
  }
  if (!/^[rj]\d+$/.test(id)) throw usageError(`'${id}' is no id: requests look like r12 ('hsm queue'), jobs like j3 ('hsm jobs')`);
  if (id.startsWith('j') && errno !== undefined) throw usageError('--errno is for recall requests: a job has no waiting readers');
  return { what: id, params: { id } };
}
