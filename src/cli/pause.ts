/** `hsm pause` and `hsm resume`: recalls that wait until an operator lets them go on. */
import { Argument, type Command } from 'commander';
import { type ExitCode, usageError } from '../errors.ts';
import { action, type Context, examples } from './command.ts';
import { steer } from './steer.ts';
import { uidOf } from './users.ts';

export function define(command: Command): void {
  const pauses = command.name() === 'pause';
  command
    .addArgument(new Argument('<what>', 'all recalls, those of a user, or those in a drive').choices(['all', 'user', 'drive']))
    .argument('[name]', 'the user or the drive');
  if (pauses) command.option('--reason <text>', 'why: everybody will see it');
  const lines = pauses ? ['hsm pause all --reason "robot is serviced"', 'hsm pause user anna', 'hsm pause drive drive0'] : ['hsm resume all', 'hsm resume user anna'];
  const note = `\nNobody is sent away: ${pauses ? 'what waits goes on waiting, and what is being read goes on to the end of its container' : 'what waited goes on'}. 'hsm hold' does it to a volume.`;
  command
    .addHelpText('after', `${note}\n${examples(...lines)}`)
    .action(action((context, what: 'all' | 'user' | 'drive', name: string | undefined, options: { readonly reason?: string }) => setPause(context, pauses, what, name, options.reason ?? null)));
}

async function setPause(context: Context, pauses: boolean, kind: 'all' | 'user' | 'drive', name: string | undefined, reason: string | null): Promise<ExitCode> {
  if (kind === 'all' && name !== undefined) throw usageError(`'all' has no name`);
  if (kind !== 'all' && name === undefined) throw usageError(`which ${kind}?`);
  const params = { kind, ...(name === undefined ? {} : { name: kind === 'user' ? String(uidOf(name)) : name }) };
  const what = kind === 'all' ? 'all recalls' : `recalls of ${kind} ${name}`;
  return pauses ? steer(context, 'pause', { ...params, reason }, `${what} wait`) : steer(context, 'resume', params, `${what} go on`);
}
