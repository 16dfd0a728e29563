/** What the commands share that tell the daemon to do something to the queue. */
import { withClient } from '../daemon/client.ts';
import type { Method } from '../daemon/protocol.ts';
import { type ExitCode, exitCodes } from '../errors.ts';
import type { Context } from './command.ts';
import { oneLine } from './printable.ts';

/** Says `said` once it is done; with --json the parameters and what came of them. */
export async function steer(context: Context, method: Method, params: Readonly<Record<string, unknown>>, said: string): Promise<ExitCode> {
  const result = (await withClient(context.config().socket, (client) => client.call(method, params))) as object;
  if (context.json) context.out.json({ ...params, ...result });
  else if (!context.quiet) context.out.line(oneLine(said));
  return exitCodes.done;
}
