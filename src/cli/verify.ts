/** `hsm verify`: reads tapes and compares every hash with the catalogue. */
import type { Command } from 'commander';
import { connect } from '../daemon/client.ts';
import type { DamageLine } from '../daemon/protocol.ts';
import { type ExitCode, exitCodes } from '../errors.ts';
import { rowPath } from './columns.ts';
import { action, type Context, examples } from './command.ts';
import { onInterrupt } from './interrupt.ts';
import { bytesOfArguments, absolute, existing, wirePath } from './paths.ts';
import { oneLine } from './printable.ts';
import { ProgressView } from './progress.ts';

export function define(command: Command): void {
  command
    .argument('[path...]', 'only the objects of these files and directories')
    .option('--tape <barcode>', 'only this volume')
    .addHelpText('after', `\nWithout arguments everything on every volume is read. Damaged objects are listed; the exit code is then 1.\n${examples('hsm verify --tape HSM001L8', 'hsm verify /data/projects', 'hsm verify --json')}`)
    .action(action((context, paths: string[], options: { readonly tape?: string }) => verify(context, paths, options.tape)));
}

async function verify(context: Context, args: readonly string[], tape: string | undefined): Promise<ExitCode> {
  const paths = bytesOfArguments(args).map((path) => wirePath(existing(absolute(path))));
  const view = context.json || context.quiet ? null : new ProgressView(process.stderr);
  const client = await connect(context.config().socket);
  // Before the request is on its way: from then on a ^C must reach the job.
  const interrupt = onInterrupt(() => void started.cancel().catch(() => undefined));
  const started = client.start(
    'verify',
    { ...(tape === undefined ? {} : { tape }), ...(paths.length === 0 ? {} : { paths }) },
    {
      row: (row) => {
        view?.clear();
        showDamage(context, row as DamageLine);
      },
      progress: (progress) => view?.update(progress),
    },
  );
  try {
    const { checked, damaged, interrupted } = (await started.result) as { checked: number; damaged: number; interrupted?: boolean };
    view?.clear();
    if (context.json) context.out.json({ summary: true, checked, damaged });
    else if (!context.quiet || damaged > 0) context.out.line(`checked ${checked.toLocaleString('en-US')} ${checked === 1 ? 'object' : 'objects'}, ${damaged === 0 ? 'all are right' : `${damaged.toLocaleString('en-US')} ${damaged === 1 ? 'is' : 'are'} damaged`}`);
    if (interrupt.seen || interrupted === true) return exitCodes.interrupted;
    return damaged > 0 ? exitCodes.failed : exitCodes.done;
  } finally {
    view?.clear();
    interrupt.off();
    client.close();
  }
}

function showDamage(context: Context, row: DamageLine): void {
  if (context.json) context.out.json(row);
  else context.out.line(oneLine(`damaged  ${row.volume}, container ${row.container}: ${rowPath(row)}: ${row.reason}`));
}
