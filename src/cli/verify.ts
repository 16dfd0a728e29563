/** `hsm verify`: reads tapes and compares every hash with the catalogue. */
import { InvalidArgumentError, type Command } from 'commander';
import type { DamageLine } from '../daemon/protocol.ts';
import { type ExitCode, exitCodes } from '../errors.ts';
import { rowPath } from './columns.ts';
import { action, type Context, examples } from './command.ts';
import { followJob } from './job.ts';
import { age, count, fraction, size } from './options.ts';
import { bytesOfArguments, absolute, existing, wirePath } from './paths.ts';
import { oneLine } from './printable.ts';

interface Options {
  readonly tape?: string;
  readonly notVerifiedSince?: number;
  readonly sample?: { readonly part: number } | { readonly count: number };
  readonly rate?: number;
  readonly repair?: true;
}

interface Verified {
  readonly checked: number;
  readonly damaged: number;
  readonly repaired?: number;
  readonly interrupted?: boolean;
}

export function define(command: Command): void {
  command
    .argument('[path...]', 'only the objects of these files and directories')
    .option('--tape <barcode>', 'only this volume')
    .option('--not-verified-since <age>', 'only containers that were not verified for so long', age)
    .option('--sample <part>', 'only some containers, chosen at random: 5%, or a number of them', sample)
    .option('--rate <size>', 'read at most so many bytes a second', size)
    .option('--repair', 'replace what is damaged by a copy from another volume')
    .addHelpText(
      'after',
      `\nWithout arguments everything on every volume that is at hand is read. Damaged objects are listed; the exit code is then 1, or 0 when all of\nthem were repaired, or 3 when some were.\n${examples('hsm verify --tape HSM001L8', 'hsm verify --not-verified-since 1y --rate 100M --repair', 'hsm verify --sample 5%', 'hsm verify /data/projects')}`,
    )
    .action(action((context, paths: string[], options: Options) => verify(context, paths, options)));
}

function sample(text: string): { part: number } | { count: number } {
  if (text.endsWith('%')) return { part: fraction(text) };
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It must be a part such as 5%, or a number of containers.');
  return { count: count(text) };
}

async function verify(context: Context, args: readonly string[], { tape, notVerifiedSince, sample: chosen, rate, repair }: Options): Promise<ExitCode> {
  const paths = bytesOfArguments(args).map((path) => wirePath(existing(absolute(path))));
  const params = {
    ...(tape === undefined ? {} : { tape }),
    ...(paths.length === 0 ? {} : { paths }),
    ...(notVerifiedSince === undefined ? {} : { notVerifiedSince }),
    ...(chosen === undefined ? {} : { sample: chosen }),
    ...(rate === undefined ? {} : { rate }),
    ...(repair === true ? { repair } : {}),
  };
  const { summary, interrupted } = await followJob<Verified>(context, 'verify', params, (row) => showDamage(context, row as DamageLine));
  const { checked, damaged, repaired = 0 } = summary;
  if (context.json) context.out.json({ summary: true, checked, damaged, repaired });
  else if (!context.quiet || damaged > 0) context.out.line(inWords(checked, damaged, repaired));
  if (interrupted) return exitCodes.interrupted;
  if (damaged === repaired) return exitCodes.done;
  return repaired > 0 ? exitCodes.partial : exitCodes.failed;
}

function inWords(checked: number, damaged: number, repaired: number): string {
  const number = (value: number): string => value.toLocaleString('en-US');
  const all = `checked ${number(checked)} ${checked === 1 ? 'object' : 'objects'}`;
  if (damaged === 0) return `${all}, all are right`;
  return `${all}, ${number(damaged)} ${damaged === 1 ? 'is' : 'are'} damaged${repaired === 0 ? '' : `, ${number(repaired)} repaired`}`;
}

function showDamage(context: Context, row: DamageLine): void {
  if (context.json) context.out.json(row);
  else context.out.line(oneLine(`${row.repaired === true ? 'repaired' : 'damaged'}  ${row.volume}, container ${row.container}: ${rowPath(row)}: ${row.reason}`));
}
