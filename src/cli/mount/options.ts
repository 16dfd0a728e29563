/** Mount options as mount(8) has them, sorted by who they are for: the mount, the filesystem, or nobody here. */
import { usageError } from '../../errors.ts';

export interface MountOptions {
  /** `fstype=`: ext4, xfs or btrfs; null: what is on the device. */
  readonly type: string | null;
  /** `config=`: another config file than the usual one. */
  readonly config: string | null;
  readonly remount: boolean;
  /** For fsconfig(2): `key` or `key=value`. */
  readonly settings: readonly string[];
  /** MOUNT_ATTR_* for fsmount(2). */
  readonly attributes: number;
  /** As given, but for those that only hsm or mount(8) understands. */
  readonly plain: readonly string[];
}

/** linux/mount.h; null takes the others of its group back. */
const attributes: Readonly<Record<string, { readonly set: number; readonly clear: number }>> = {
  ro: { set: 0x1, clear: 0 },
  rw: { set: 0, clear: 0x1 },
  nosuid: { set: 0x2, clear: 0 },
  suid: { set: 0, clear: 0x2 },
  nodev: { set: 0x4, clear: 0 },
  dev: { set: 0, clear: 0x4 },
  noexec: { set: 0x8, clear: 0 },
  exec: { set: 0, clear: 0x8 },
  relatime: { set: 0, clear: 0x70 },
  noatime: { set: 0x10, clear: 0x70 },
  strictatime: { set: 0x20, clear: 0x70 },
  atime: { set: 0, clear: 0x10 },
  norelatime: { set: 0, clear: 0 },
  nostrictatime: { set: 0, clear: 0x20 },
  nodiratime: { set: 0x80, clear: 0 },
  diratime: { set: 0, clear: 0x80 },
  nosymfollow: { set: 0x200000, clear: 0 },
  symfollow: { set: 0, clear: 0x200000 },
};

/** Of mount(8), fstab(5) and systemd.mount(5): nothing that a filesystem knows. */
const forOthers = new Set(['defaults', 'auto', 'noauto', 'user', 'nouser', 'users', 'nousers', 'owner', 'noowner', 'group', 'nogroup', 'nofail', '_netdev', 'silent', 'loud', 'async', 'nolazytime']);
const forOthersWithValue = /^(x-|X-)|^(comment|uhelper|helper|loop|offset|sizelimit)(=|$)/;

/** Fails with `USAGE` on an option that cannot be obeyed. */
export function parseMountOptions(text: string): MountOptions {
  let type: string | null = null;
  let config: string | null = null;
  let remount = false;
  let flags = 0;
  const settings: string[] = [];
  const plain: string[] = [];
  for (const option of splitOptions(text)) {
    const [key = '', value] = divide(option);
    const attribute = value === undefined ? attributes[key] : undefined;
    if (attribute !== undefined) flags = (flags & ~attribute.clear) | attribute.set;
    else if (['bind', 'rbind', 'move'].includes(key)) throw usageError(`${key} makes no new view of a device: use mount --${key}, which needs no help of hsm`);
    else if (key === 'remount') remount = true;
    else if (key === 'fstype' || key === 'config') {
      if (value === undefined || value === '') throw usageError(`the option ${key} needs a value: ${key}=${key === 'fstype' ? 'xfs' : '/etc/hsm/hsm.toml'}`);
      if (key === 'fstype') type = value;
      else config = value;
      continue;
    } else if (forOthers.has(key) || forOthersWithValue.test(option)) continue;
    else settings.push(option);
    if (key !== 'remount') plain.push(option);
  }
  if ((flags & 0x1) !== 0) settings.push('ro');
  return { type, config, remount, settings, attributes: flags, plain };
}

/** At commas, but for those in double quotes (`context="system_u:object_r:tmp_t:s0:c127,c456"`), which go away. */
function splitOptions(text: string): string[] {
  const parts = text.match(/(?:"[^"]*"|[^,"])+/g) ?? [];
  return parts.map((part) => part.replaceAll('"', ''));
}

function divide(option: string): [string, string?] {
  const at = option.indexOf('=');
  return at < 0 ? [option] : [option.slice(0, at), option.slice(at + 1)];
}
