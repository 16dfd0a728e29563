/** POSIX ACLs: from the text that pax archives hold (`user::rw-,user:1000:r--,...`) to the bytes that Linux keeps in `system.posix_acl_*`. */
import { HsmError } from '../errors.ts';

const version = 2;
const noId = 0xffff_ffff;
const tags = { user: [0x01, 0x02], group: [0x04, 0x08], mask: [0x10, null], other: [0x20, null] } as const;

/** Little-endian: version u32, then tag u16, permissions u16, id u32 for each entry (acl_ea.h). Ids are numbers. Fails with `BAD_ACL`. */
export function aclXattr(text: string): Buffer {
  const entries = text
    .split(/[,\n]/)
    .map((entry) => entry.replace(/#.*/, '').trim())
    .filter((entry) => entry !== '')
    .map((entry) => parseEntry(entry, text))
    .sort((a, b) => a.tag - b.tag || a.id - b.id);
  const out = Buffer.alloc(4 + 8 * entries.length);
  out.writeUInt32LE(version, 0);
  for (const [i, { tag, permissions, id }] of entries.entries()) {
    out.writeUInt16LE(tag, 4 + 8 * i);
    out.writeUInt16LE(permissions, 6 + 8 * i);
    out.writeUInt32LE(id, 8 + 8 * i);
  }
  return out;
}

interface Entry {
  readonly tag: number;
  readonly permissions: number;
  readonly id: number;
}

/** GNU tar with ids as numbers and star with a fourth field both write what this reads. */
function parseEntry(entry: string, text: string): Entry {
  const [, kind = '', name = '', read, write, execute, number] = /^(user|group|mask|other):([^:]*):([r-])([w-])([x-])(?::(\d+))?$/.exec(entry) ?? [];
  const [owner, named] = tags[kind as keyof typeof tags] ?? [null, null];
  const id = number ?? name;
  if (owner === null || (id !== '' && (named === null || !/^\d+$/.test(id) || Number(id) >= noId))) {
    throw new HsmError('BAD_ACL', `'${entry}' is no entry of an access control list, in '${text}'`);
  }
  const permissions = (read === 'r' ? 4 : 0) + (write === 'w' ? 2 : 0) + (execute === 'x' ? 1 : 0);
  return id === '' ? { tag: owner, permissions, id: noId } : { tag: named ?? owner, permissions, id: Number(id) };
}
