/** `hsm mount`: mounts a managed filesystem, guarded before anybody can see it. */
import type { Command } from 'commander';
import type { Mounted } from '../daemon/mount.ts';
import { exitCodes, usageError } from '../errors.ts';
import { action, type Context, examples } from './command.ts';
import { repeated } from './options.ts';

interface Options {
  readonly type?: string;
  readonly options?: readonly string[];
}

export function define(command: Command): void {
  command
    .argument('<device>', 'block device, or UUID=..., LABEL=...')
    .argument('<dir>', 'where: one of the filesystems of the config file')
    .option('-t, --type <type>', 'ext4, xfs or btrfs (default: what is on the device)')
    .option('-o, --options <list>', 'mount options, as for mount(8) (repeatable)', repeated)
    .addHelpText(
      'after',
      `
Every access is guarded from the first on: the filesystem is set up unseen, handed to the running daemon, and then shown at
<dir>. While no daemon runs, who opens a stub there gets EAGAIN until 'hsm daemon' starts.

In fstab, with /sbin/mount.hsm linked to this program:  UUID=... /data hsm fstype=xfs,noatime 0 0
${examples('hsm mount /dev/sdb1 /data', 'hsm mount -t xfs -o noatime,nosuid UUID=2d1f5a9e-8b9c-4b27-9f4e-6f2f6f4c1c55 /data')}`,
    )
    .action(
      action(async (context, source: string, dir: string, given: Options) => {
        const { mountGuarded } = await import('../daemon/mount.ts');
        const { parseMountOptions } = await import('./mount/options.ts');
        const { settings, attributes, remount, type, config } = parseMountOptions((given.options ?? []).join(','));
        if (remount) throw usageError('to remount use mount -o remount: the guard stays');
        if (config !== null) throw usageError('config= is for fstab: use --config here');
        showMounted(context, await mountGuarded(context.config(), { source, dir, type: given.type ?? type, settings, attributes }));
        return exitCodes.done;
      }),
    );
}

function showMounted({ out, json, quiet }: Context, mounted: Mounted): void {
  if (json) out.json(mounted);
  else if (!quiet) {
    const { source, path, type, guardedBy } = mounted;
    out.line(out.name(source), ' is mounted at ', out.name(path), ` (${type}); ${guardedBy === 'daemon' ? 'stubs are guarded' : `stubs are refused (EAGAIN) until 'hsm daemon' starts`}`);
  }
}
