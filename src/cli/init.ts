/** `hsm init`: the config, the catalogue and a library, all or nothing. */
import { type Command, Option } from 'commander';
import { exitCodes, HsmError } from '../errors.ts';
import { formatSize } from '../units.ts';
import { action, type Context, examples } from './command.ts';
import { onInterrupt } from './interrupt.ts';
import { count, repeated, size } from './options.ts';

export interface InitOptions {
  readonly filesystem: readonly string[];
  readonly library?: string;
  readonly changer?: string;
  readonly drive?: readonly string[];
  readonly state?: string;
  readonly drives: number;
  readonly cartridges: number;
  readonly capacity?: number;
  readonly timing: 'none' | 'lto8' | 'lto9';
  readonly format: 'tar' | 'ltfs';
}

export function define(command: Command): void {
  command
    .requiredOption('--filesystem <mnt>', 'mount point of an ext4, xfs or btrfs filesystem to manage (repeatable)', repeated)
    .option('--library <dir>', 'folder of the virtual tape library: empty or absent, on another filesystem')
    .option('--changer <device>', 'instead of --library: the robot of a real one, such as /dev/tape/by-id/scsi-LIB0000001-changer')
    .option('--drive <device>', 'a tape drive of it, or one that an operator loads, by its non-rewinding device, such as /dev/tape/by-id/scsi-DRV0000001-nst (repeatable)', repeated)
    .option('--drives <n>', 'drives of the library', count, 2)
    .option('--cartridges <n>', 'cartridges in it', count, 10)
    .option('--capacity <size>', 'capacity of each (default: 100G; 12TB with lto8, 18TB with lto9)', size)
    .addOption(new Option('--timing <drive>', 'be as slow as a real drive').choices(['none', 'lto8', 'lto9']).default('none'))
    .addOption(new Option('--format <format>', "what volumes are: containers as tar archives, or LTFS, which needs LTFS's programs").choices(['tar', 'ltfs']).default('tar'))
    .option('--state <dir>', 'folder of the catalogue (default: /var/lib/hsm)')
    .addHelpText(
      'after',
      `
Writes the config file (--config, or /etc/hsm/hsm.toml). Refuses to overwrite anything: a second init exits 5.
${examples('hsm init --filesystem /data --library /srv/tapes', 'hsm init --filesystem /data --library /srv/tapes --cartridges 40 --capacity 12TB --timing lto8', 'hsm init --filesystem /data --changer /dev/sch0 --drive /dev/nst0 --drive /dev/nst1', 'hsm --config ~/try/hsm.toml init --filesystem /mnt --library ~/try/tapes --state ~/try/state')}`,
    )
    .action(
      action(async (context, options: InitOptions) => {
        const { planInit } = await import('./init/plan.ts');
        const { build } = await import('./init/build.ts');
        const plan = planInit(context.configFile, options);
        const interrupt = onInterrupt(() => undefined, 'ignore');
        const { barcodes } = await build(plan, {
          beforeStep: () => {
            if (interrupt.seen) throw new HsmError('EINTR', 'interrupted: nothing was left behind', { exit: exitCodes.interrupted });
          },
        }).finally(() => interrupt.off());
        showResult(context, plan, barcodes);
        return exitCodes.done;
      }),
    );
}

interface Shown {
  readonly configFile: string;
  readonly state: string;
  readonly library: string;
  readonly scsi: { readonly changer: string | null } | null;
  readonly drives: number;
  readonly capacity: number;
  readonly filesystems: readonly { readonly path: string; readonly type: string }[];
}

function showResult({ out, json, quiet }: Context, { configFile, state, library, scsi, drives, capacity, filesystems }: Shown, barcodes: readonly string[]): void {
  if (json) {
    out.json({ config: configFile, state, library, ...(scsi === null ? {} : { changer: scsi.changer }), drives, filesystems, volumes: barcodes });
    return;
  }
  if (quiet) return;
  const range = barcodes.length === 1 ? (barcodes[0] ?? '') : `${barcodes[0] ?? ''} to ${barcodes.at(-1) ?? ''}`;
  for (const each of filesystems) out.line('filesystem  ', out.name(each.path), ` (${each.type})`);
  if (scsi !== null) out.line('library     ', out.name(scsi.changer ?? 'no robot'), `: ${drives} ${drives === 1 ? 'drive' : 'drives'}; 'hsm tape add' takes its cartridges when the daemon runs`);
  else out.line('library     ', out.name(library), `: ${drives} drives, ${barcodes.length} cartridges of ${formatSize(capacity)}, ${range}`);
  out.line('catalogue   ', out.name(state));
  out.line('config      ', out.name(configFile));
  out.line(`next: hsm doctor checks this machine; hsm daemon, or systemctl enable --now hsm, starts the daemon`);
}
