/** The inode number in a file handle, by the handle's type (Linux: exportfs.h, xfs_export.h, btrfs export.h). */
import { native } from '../../native/index.ts';

const types = { ino32: [0x01, 0x02], ino64: [0x81, 0x82], btrfs: [0x4d, 0x4e, 0x4f] };

/** `handle`: `u32 LE type`, then its bytes. `ino` is null for a handle that does not tell. */
export function inodeOf(handle: Buffer | null): { readonly ino: number | null; readonly handleHash: number } {
  if (handle === null || handle.length < 12) return { ino: null, handleHash: 0 };
  const handleHash = native.handleHash(handle);
  const type = handle.readUInt32LE(0);
  if (types.ino32.includes(type)) return { ino: handle.readUInt32LE(4), handleHash };
  if (types.ino64.includes(type) || types.btrfs.includes(type)) {
    const ino = Number(handle.readBigUInt64LE(4));
    return { ino: Number.isSafeInteger(ino) ? ino : null, handleHash };
  }
  return { ino: null, handleHash };
}
