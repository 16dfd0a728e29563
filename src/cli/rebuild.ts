/** `hsm rebuild`: a new catalogue from the cartridges, or from the stubs and the cartridges that they name. */
import type { Command } from 'commander';
import type { LostOutcome, RebuildSummary, VolumeOutcome } from '../recovery/rebuild.ts';
import { requestText } from '../library/changer.ts';
import { type ExitCode, exitCodes, usageError } from '../errors.ts';
import { action, type Context, examples } from './command.ts';
import { onInterrupt } from './interrupt.ts';
import { names } from './options.ts';
import { pathKeys } from './paths.ts';
import { oneLine } from './printable.ts';
import { ProgressView } from './progress.ts';

interface Options {
  readonly fromTapes?: boolean;
  readonly fromStubs?: boolean;
  readonly replace?: boolean;
  readonly dump: boolean;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
}

export function define(command: Command): void {
  command
    .option('--from-tapes', 'from all cartridges: the newest catalogue dump on any of them, and what was written after it')
    .option('--from-stubs', 'from the cartridges that the stubs on the filesystems name, without any dump')
    .option('--replace', 'put it in the place of a catalogue that is there; the old one is kept under another name')
    .option('--include <barcodes>', 'take these volumes in although the newest catalogue does not know them', names)
    .option('--exclude <barcodes>', 'leave these volumes alone', names)
    .option('--no-dump', 'use no catalogue dump: read the index of every container')
    .addHelpText(
      'after',
      `
The daemon must not run. Filesystems of the configuration that are mounted are looked through for stubs; what their
records say counts more than any dump. Nothing is written to a cartridge. The catalogue is built beside its place and
put there when it is whole: kill it at any time, and run it again.

What no volume has is listed; the exit code is then 3. Files of a filesystem that is lost: see hsm restore-tree.
${examples('hsm rebuild --from-tapes', 'hsm rebuild --from-tapes --replace --exclude HSM007L8', 'hsm rebuild --from-stubs --json')}`,
    )
    .action(action((context, options: Options) => rebuild(context, options)));
}

async function rebuild(context: Context, options: Options): Promise<ExitCode> {
  if ((options.fromTapes === true) === (options.fromStubs === true)) throw usageError('say --from-tapes, or --from-stubs when no cartridge but those that stubs name can be read');
  const { runRebuild } = await import('../recovery/run.ts');
  const view = context.json || context.quiet ? null : new ProgressView(process.stderr);
  const interrupt = onInterrupt(() => view?.clear());
  try {
    const { summary, kept } = await runRebuild(
      context.config(),
      {
        from: options.fromTapes === true ? 'tapes' : 'stubs',
        include: options.include ?? [],
        exclude: options.exclude ?? [],
        withoutDump: !options.dump,
        replace: options.replace ?? false,
        stopRequested: () => interrupt.seen,
      },
      {
        progress: (progress) => view?.update(progress),
        volume: (outcome) => {
          view?.clear();
          showVolume(context, outcome);
        },
        lost: (outcome) => {
          view?.clear();
          showLost(context, outcome);
        },
        asked: (request) => {
          view?.clear();
          process.stderr.write(`hsm: ${requestText(request)}\n`);
        },
        unmounted: (path) => {
          view?.clear();
          if (!context.json) process.stderr.write(`hsm: ${oneLine(path)} is not mounted: its stubs are not looked at\n`);
        },
      },
    );
    view?.clear();
    showSummary(context, summary, kept);
    return summary.lost + summary.refused + summary.missing + summary.damaged > 0 ? exitCodes.partial : exitCodes.done;
  } finally {
    view?.clear();
    interrupt.off();
  }
}

function showVolume({ json, quiet, out }: Context, { volume, result, pool, state, known, read, reason }: VolumeOutcome): void {
  if (json) {
    out.json({ volume, result, pool, state, knownContainers: known, readContainers: read, reason });
  } else if (!quiet || result === 'damaged' || result === 'refused' || result === 'missing') {
    const facts = [pool === null ? '' : `pool ${pool}`, state ?? '', known + read === 0 ? '' : `${known + read} containers, ${read} of them read`, reason ?? ''];
    out.line(oneLine(`${result.padEnd(8)} ${volume.padEnd(8)}  ${facts.filter((fact) => fact !== '').join(', ')}`));
  }
  out.flush();
}

const lostInWords = {
  'no-copy': 'no volume that is here has its data',
  'no-hash': 'nothing tells whether its data is right',
  'unknown-object': 'no volume that is here has its object',
} as const;

function showLost({ json, out }: Context, { filesystem, path, volume, reason }: LostOutcome): void {
  const whole = filesystem === null ? path : Buffer.concat([Buffer.from(`${filesystem}/`), path]);
  if (json) out.json({ ...pathKeys(whole), result: 'lost', volume, reason });
  else out.line('lost     ', out.name(whole), volume === null ? `: ${lostInWords[reason]}` : `: ${lostInWords[reason]} (${volume})`);
}

function showSummary({ json, quiet, out }: Context, summary: RebuildSummary, kept: string | null): void {
  if (json) {
    out.json({ summary: true, ...summary, kept });
    return;
  }
  const number = (value: number, one: string) => `${value.toLocaleString('en-US')} ${value === 1 ? one : `${one}s`}`;
  if (!quiet) {
    out.line(`rebuilt from ${number(summary.volumes, 'volume')}${summary.dump === null ? '' : ` and ${summary.dump}`}: ${number(summary.files, 'file')}, ${number(summary.stubs, 'stub')} seen`);
    if (summary.gone > 0) out.line(`${number(summary.gone, 'file')} of the catalogue are not there any more: kept as old versions`);
    if (summary.foreign > 0) out.line(`${number(summary.foreign, 'record')} of other inodes were passed over`);
    if (kept !== null) out.line('the catalogue that was there is now ', out.name(kept));
  }
  const bad = [
    summary.lost > 0 ? `${number(summary.lost, 'file')} lost` : '',
    summary.damaged > 0 ? `${number(summary.damaged, 'volume')} damaged` : '',
    summary.missing > 0 ? `${number(summary.missing, 'volume')} missing` : '',
    summary.refused > 0 ? `${number(summary.refused, 'volume')} refused` : '',
  ].filter((each) => each !== '');
  if (bad.length > 0) out.line(bad.join(', '));
}
