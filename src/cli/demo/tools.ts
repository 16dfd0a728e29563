/** The programs that the demo runs, and the packages they come in. */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { HsmError } from '../../errors.ts';

export type DemoType = 'ext4' | 'xfs' | 'btrfs';

const packages: Readonly<Record<string, string>> = {
  'mkfs.ext4': 'e2fsprogs',
  'mkfs.xfs': 'xfsprogs',
  'mkfs.btrfs': 'btrfs-progs',
  mount: 'mount',
  umount: 'mount',
  losetup: 'mount',
  bash: 'bash',
  tar: 'tar',
  cp: 'coreutils',
  dd: 'coreutils',
};

/** Where mkfs is on systems that keep it from users' PATH. */
export const searchPath = `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`;

/** The type to make: the wanted one, or the first that this machine can. Fails with `NO_TOOL` and the package to install. */
export function requireTools(wanted: DemoType | undefined): DemoType {
  const type = wanted ?? (['ext4', 'xfs', 'btrfs'] as const).find((each) => isThere(`mkfs.${each}`)) ?? 'ext4';
  const missing = [`mkfs.${type}`, 'mount', 'umount', 'losetup', 'bash', 'tar', 'cp', 'dd'].filter((tool) => !isThere(tool));
  if (missing.length > 0) {
    const install = [...new Set(missing.map((tool) => packages[tool] ?? tool))].join(' ');
    throw new HsmError('NO_TOOL', `${missing.join(', ')} not found: apt-get install ${install}`);
  }
  return type;
}

export function isThere(tool: string): boolean {
  return searchPath.split(':').some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return folder !== '';
    } catch {
      return false;
    }
  });
}
