/** `hsm retry`: recalls again what failed. */
import type { Command } from 'commander';
import { withClient } from '../daemon/client.ts';
import type { QueueLine, RetryFailure } from '../daemon/protocol.ts';
import { type ExitCode, exitCodes, HsmError, usageError } from '../errors.ts';
import { action, type Context, examples } from './command.ts';
import { report } from './report.ts';

export function define(command: Command): void {
  command
    .argument('[id...]', "requests such as r12 ('hsm failed')")
    .option('--all', 'everything that hsm failed shows')
    .addHelpText('after', examples('hsm retry r12', 'hsm retry --all'))
    .action(
      action(async (context, named: string[], options: { readonly all?: true }) => {
        if ((named.length > 0) === (options.all === true)) throw usageError('name requests, or say --all');
        const ids = options.all === true ? await allFailed(context) : named;
        return retry(context, ids);
      }),
    );
}

async function retry(context: Context, ids: readonly string[]): Promise<ExitCode> {
  const { retried, failed } = (await withClient(context.config().socket, (client) => client.call('retry', { ids }))) as { readonly retried: number; readonly failed: readonly RetryFailure[] };
  for (const { code, message } of failed) report(new HsmError(code, message), context.json);
  if (context.json) context.out.json({ ids, retried, failed });
  else if (!context.quiet) context.out.line(ids.length === 1 ? `${ids[0]} is recalled again` : `${retried} requests are recalled again`);
  return failed.length > 0 ? exitCodes.partial : exitCodes.done;
}

async function allFailed(context: Context): Promise<string[]> {
  const rows = (await withClient(context.config().socket, (client) => client.rows('queue'))) as QueueLine[];
  const ids = rows.filter(({ state }) => state === 'failed').map(({ id }) => id);
  if (ids.length === 0) throw usageError('no recall failed lately');
  return ids;
}
