/** The manifest of a container on LTFS: a line of JSON that says how it is cut into blocks, and one for every member. */
import { z } from 'zod';
import { HsmError } from '../../errors.ts';
import type { MemberMetadata } from '../member-metadata.ts';

/** Runs of blocks of one size, so that a container of tape blocks is one pair. */
export type BlockRuns = readonly (readonly [size: number, count: number])[];

export interface ManifestMember {
  readonly name: Buffer;
  /** Below the container's folder; null: a link, a void member, or one that was cut off. */
  readonly file: string | null;
  /** Of the pax header, bytes from the container's beginning. */
  readonly offset: number;
  readonly headerLength: number;
  /** Stored bytes, without padding. */
  readonly payload: number;
  /** Bytes of payload that are a sparse file's map. */
  readonly map: number;
  readonly size: number;
  readonly object: Buffer | null;
  readonly sha256: Buffer | null;
  /** The member that a link names. */
  readonly link: Buffer | null;
  /** Why its content is not here. */
  readonly void: string | null;
  readonly metadata: MemberMetadata | null;
}

export interface Manifest {
  readonly blocks: BlockRuns;
  /** A filemark follows the last block. */
  readonly ended: boolean;
  readonly members: readonly ManifestPlace[];
}

/** What is needed to read a member; the rest of its line is for people. */
export type ManifestPlace = Pick<ManifestMember, 'file' | 'offset' | 'headerLength' | 'payload' | 'map'>;

const format = 'hsm-ltfs-container';

export function manifestText(blocks: BlockRuns, ended: boolean, members: readonly ManifestMember[]): string {
  const first = JSON.stringify({ format, version: 1, blocks, ended, members: members.length });
  return [first, ...members.map((member) => memberLine(member)), ''].join('\n');
}

/** A line without xattrs is what fits into an xattr itself. */
export function memberLine(member: ManifestMember, options: { readonly brief?: boolean } = {}): string {
  const { metadata } = member;
  return JSON.stringify({
    ...nameOf('name', member.name),
    ...(member.file === null ? {} : { file: member.file }),
    offset: member.offset,
    header: member.headerLength,
    payload: member.payload,
    ...(member.map > 0 ? { map: member.map } : {}),
    size: member.size,
    ...(member.object === null ? {} : { object: member.object.toString('hex') }),
    ...(member.sha256 === null ? {} : { sha256: member.sha256.toString('hex') }),
    ...(member.link === null ? {} : nameOf('link', member.link)),
    ...(member.void === null ? {} : { void: member.void }),
    ...(metadata === null ? {} : { mode: metadata.mode.toString(8).padStart(4, '0'), uid: metadata.uid, gid: metadata.gid, mtime: seconds(metadata.mtimeNs), atime: seconds(metadata.atimeNs) }),
    ...(metadata === null || Object.keys(metadata.acls).length === 0 ? {} : { acl: metadata.acls }),
    ...(metadata === null || options.brief === true ? {} : xattrsOf(metadata)),
  });
}

/** Fails with `EIO` when it is not one. */
export function parseManifest(text: string, what: string): Manifest {
  try {
    const [first = '', ...lines] = text.trimEnd().split('\n');
    const { blocks, ended, members } = head.parse(JSON.parse(first));
    const places = lines.map((line) => place.parse(JSON.parse(line))).map(({ file, offset, header, payload, map }) => ({ file, offset, headerLength: header, payload, map }));
    if (places.length !== members) throw new Error(`it has ${places.length} members of ${members}`);
    return { blocks, ended, members: places };
  } catch (cause) {
    throw new HsmError('EIO', `${what} is damaged: ${(cause as Error).message.split('\n')[0]}`, { retry: 'other-copy', cause });
  }
}

const count = z.int().nonnegative();
const head = z.object({ format: z.literal(format), version: z.literal(1), blocks: z.array(z.tuple([count, count])), ended: z.boolean(), members: count });
const place = z.object({ file: z.string().nullable().default(null), offset: count, header: count, payload: count, map: count.default(0) });

/** As in an index: the name, and its bytes where it is not UTF-8. */
function nameOf(key: 'name' | 'link', name: Buffer): Record<string, string> {
  const text = name.toString('utf8');
  return Buffer.from(text).equals(name) ? { [key]: text } : { [key]: text, [`${key}Base64`]: name.toString('base64') };
}

function xattrsOf({ xattrs }: MemberMetadata): { xattrs?: Record<string, string> } {
  const own = xattrs.filter(([name]) => !name.startsWith('system.posix_acl_'));
  return own.length === 0 ? {} : { xattrs: Object.fromEntries(own.map(([name, value]) => [name, value.toString('base64')])) };
}

/** As in pax: seconds since 1970 with nine places. */
function seconds(ns: bigint): string {
  const absolute = ns < 0n ? -ns : ns;
  return `${ns < 0n ? '-' : ''}${absolute / 1_000_000_000n}.${String(absolute % 1_000_000_000n).padStart(9, '0')}`;
}
