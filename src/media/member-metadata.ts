/** What a member's header says of the inode, to make that inode again (docs/tape-format.md "A member"). */
import { HsmError } from '../errors.ts';
import { aclXattr } from './acl-text.ts';

export interface MemberMetadata {
  /** Permission bits, set-id and sticky included. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  /** As text, entries separated by commas. */
  readonly acls: { readonly access?: string; readonly default?: string };
  /** Names and values as setxattr(2) takes them, ACLs among them. */
  readonly xattrs: readonly (readonly [name: string, value: Buffer])[];
}

const block = 512;

/** `header`: all three parts of it, as parseMember() measured them. Fails with `BAD_HEADER` (another copy may be good). */
export function parseMetadata(header: Buffer): MemberMetadata {
  const ustar = header.subarray(header.length - block);
  const records = readRecords(header.subarray(block, block + octal(header, 124, 12)));
  const text = (key: string): string | undefined => records.get(key)?.toString('latin1');
  const mtimeNs = nanoseconds(text('mtime')) ?? BigInt(octal(ustar, 136, 12)) * 1_000_000_000n;
  return {
    mode: octal(ustar, 100, 8) & 0o7777,
    uid: Number(text('uid') ?? octal(ustar, 108, 8)),
    gid: Number(text('gid') ?? octal(ustar, 116, 8)),
    atimeNs: nanoseconds(text('atime')) ?? mtimeNs,
    mtimeNs,
    acls: { ...aclText('access', text), ...aclText('default', text) },
    xattrs: [...records].flatMap(([key, value]) => xattrOf(key, value)),
  };
}

function aclText(kind: 'access' | 'default', text: (key: string) => string | undefined): { access?: string; default?: string } {
  const acl = text(`SCHILY.acl.${kind}`);
  return acl === undefined ? {} : { [kind]: acl };
}

const xattrPrefix = 'SCHILY.xattr.';

function xattrOf(key: string, value: Buffer): [string, Buffer][] {
  if (key.startsWith(xattrPrefix)) return [[key.slice(xattrPrefix.length).replace(/%3D/gi, '=').replace(/%25/g, '%'), value]];
  if (key === 'SCHILY.acl.access' || key === 'SCHILY.acl.default') return [[`system.posix_acl_${key.slice('SCHILY.acl.'.length)}`, aclXattr(value.toString('latin1'))]];
  return [];
}

/** `LENGTH KEY=VALUE\n`; LENGTH counts all of it. */
function readRecords(data: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let from = 0; from < data.length; ) {
    const space = data.indexOf(0x20, from);
    const length = Number(data.toString('latin1', from, space));
    const equals = data.indexOf(0x3d, space);
    const end = from + length;
    if (space < 0 || !Number.isSafeInteger(length) || equals < 0 || equals >= end || end > data.length || data[end - 1] !== 0x0a) throw damaged();
    records.set(data.toString('utf8', space + 1, equals), data.subarray(equals + 1, end - 1));
    from = end;
  }
  return records;
}

function octal(header: Buffer, at: number, length: number): number {
  const text = header.toString('latin1', at, at + length).replace(/[\0 ]+$/, '').trim();
  if (!/^[0-7]*$/.test(text)) throw damaged();
  return text === '' ? 0 : Number.parseInt(text, 8);
}

/** Seconds with a fraction of up to nine places, as in pax. */
function nanoseconds(text: string | undefined): bigint | null {
  if (text === undefined) return null;
  const [, sign, seconds = '0', fraction = ''] = /^(-?)(\d+)(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  if (sign === undefined) throw damaged();
  const ns = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'));
  return sign === '-' ? -ns : ns;
}

const damaged = (): HsmError => new HsmError('BAD_HEADER', 'the header of a member is damaged', { retry: 'other-copy' });
