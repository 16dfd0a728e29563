/** The bytes of a volume apart from its members: label, page, names, index. docs/tape-format.md says it for people. */
import { randomBytes } from 'node:crypto';
import { HsmError } from '../errors.ts';
import { howTo } from './how-to.ts';

/** Bytes of every block of a container. */
export const tapeBlockSize = 2 ** 20;

const labelSize = 80;
const pageSize = 3584;

/** The two blocks at the beginning of a volume, before its first filemark: ANSI VOL1 label and page. */
export function volumeHeader(barcode: string, serial: string | null = null): readonly [label: Buffer, page: Buffer] {
  return [volumeLabel(barcode, serial), Buffer.from(howTo(barcode).padEnd(pageSize, '\n'), 'latin1')];
}

export interface VolumeLabel {
  readonly barcode: string;
  /** 16 hex digits, new whenever a volume is labelled: tells a volume from what it was before. Null on labels without one. */
  readonly serial: string | null;
}

export const newSerial = (): string => randomBytes(8).toString('hex').toUpperCase();

/**
 * ANSI X3.27 VOL1: the first 6 characters of the barcode are the volume identifier, the whole of it stands in the owner
 * field, the serial behind it. Barcodes are 1 to 8 of A-Z and 0-9; anything else fails with `EINVAL`.
 */
export function volumeLabel(barcode: string, serial: string | null = null): Buffer {
  if (!isBarcode.test(barcode)) throw new HsmError('EINVAL', `${barcode} is not a barcode: 1 to 8 of A-Z and 0-9`);
  const label = Buffer.alloc(labelSize, ' ', 'latin1');
  label.write('VOL1', 0, 'latin1');
  label.write(barcode.slice(0, 6), 4, 'latin1');
  label.write('HSM', 24, 'latin1');
  label.write(barcode, 37, 'latin1');
  label.write(serial ?? '', 51, 16, 'latin1');
  label.write('4', 79, 'latin1');
  return label;
}

const isBarcode = /^[A-Z0-9]{1,8}$/;
const isSerial = /^[0-9A-F]{16}$/;

/** Null for anything but an hsm label. */
export function parseVolumeLabel(block: Buffer): VolumeLabel | null {
  if (block.length !== labelSize) return null;
  const text = block.toString('latin1');
  const barcode = text.slice(37, 51).trimEnd();
  const serial = text.slice(51, 67).trimEnd() || null;
  if (!isBarcode.test(barcode) || (serial !== null && !isSerial.test(serial))) return null;
  return volumeLabel(barcode, serial).equals(block) ? { barcode, serial } : null;
}

const indexName = /^\.hsm\/index-[0-9a-f]{32}\.jsonl$/;

/** True for a container's last member. */
export const isIndexName = (name: Buffer): boolean => indexName.test(name.toString('latin1'));

/** Member name of a catalogue dump made at `date`; names sort by time. */
export const catalogueName = (date: Date): string => `.hsm/catalogue-${date.toISOString().replace(/[-:]|\.\d+/g, '')}.db`;

export const isCatalogueName = (name: Buffer): boolean => /^\.hsm\/catalogue-\d{8}T\d{6}Z\.db$/.test(name.toString('latin1'));

/** True for the index of a container that was cut short, in the container after it. */
export const isTruncatedIndexName = (name: Buffer): boolean => /^\.hsm\/container-\d+\.jsonl$/.test(name.toString('latin1'));

/** One line of an index. */
export interface IndexEntry {
  /** `link`: a further name of the object that an earlier `file` holds. `void`: not to be restored. */
  readonly kind: 'file' | 'link' | 'void';
  readonly name: Buffer;
  /** Of the pax header, bytes from the container's beginning. */
  readonly offset: number;
  /** Headers, payload and padding. */
  readonly length: number;
  readonly headerLength: number;
  readonly size: number;
  readonly object: Buffer;
  /** Null unless kind is `file`. */
  readonly sha256: Buffer | null;
  readonly mtimeNs: bigint | null;
  /** File handle, hex. */
  readonly handle: string | null;
  /** Name of the member that a link names. */
  readonly link: Buffer | null;
  /** Why it is void: `changed` or an errno's name. */
  readonly reason: string | null;
}

/** The entries of an index member's payload, without its last line. Fails with `BAD_INDEX` (another copy may be good). */
export function parseIndex(payload: Buffer): IndexEntry[] {
  const entries: IndexEntry[] = [];
  let end: IndexEnd | null = null;
  for (let from = 0, to = 0; from < payload.length; from = to + 1) {
    to = payload.indexOf(0x0a, from);
    if (to < 0 || end !== null) throw badIndex('it has no proper end');
    const line = readLine(payload.toString('utf8', from, to));
    end = endOf(line);
    if (end === null) entries.push(entryOf(line));
  }
  if (end?.members !== entries.length) throw badIndex('lines are missing');
  return entries;
}

/** An index's last line: where the index member begins. It is the last text of a container, zeros follow. */
export interface IndexEnd {
  readonly offset: number;
  readonly members: number;
  /** UUID of the filesystem that the files are from; null where it is not said. */
  readonly filesystem: string | null;
}

/** Finds the index from the last bytes of a container (two blocks are enough); null when they do not end in an index. */
export function parseIndexEnd(tail: Buffer): IndexEnd | null {
  let last = tail.length;
  while (last > 0 && tail[last - 1] === 0) last -= 1;
  if (tail[last - 1] !== 0x0a) return null;
  const from = tail.lastIndexOf(0x0a, last - 2) + 1;
  if (last - from > 200) return null;
  try {
    return endOf(readLine(tail.toString('utf8', from, last - 1)));
  } catch {
    return null;
  }
}

type Line = Readonly<Record<string, unknown>>;

const badIndex = (why: string, cause?: unknown): HsmError =>
  new HsmError('BAD_INDEX', `the index of the container is damaged: ${why}`, { retry: 'other-copy', cause });

function readLine(text: string): Line {
  try {
    const line: unknown = JSON.parse(text);
    if (typeof line === 'object' && line !== null) return line as Line;
  } catch (cause) {
    throw badIndex('a line is not JSON', cause);
  }
  throw badIndex('a line is no object');
}

function endOf(line: Line): IndexEnd | null {
  if (line['format'] !== 'hsm-index-end') return null;
  const filesystem = line['filesystem'] === undefined ? null : text(line, 'filesystem');
  return { offset: count(line, 'offset'), members: count(line, 'members'), filesystem };
}

function entryOf(line: Line): IndexEntry {
  const kind = line['void'] !== undefined ? 'void' : line['link'] !== undefined ? 'link' : 'file';
  return {
    kind,
    name: name(line, 'name'),
    offset: count(line, 'offset'),
    length: count(line, 'length'),
    headerLength: count(line, 'header'),
    size: count(line, 'size'),
    object: hex(line, 'object', 16),
    sha256: kind === 'file' ? hex(line, 'sha256', 32) : null,
    mtimeNs: kind === 'file' ? nanoseconds(line, 'mtimeNs') : null,
    handle: line['handle'] === undefined ? null : text(line, 'handle'),
    link: kind === 'link' ? name(line, 'link') : null,
    reason: kind === 'void' ? text(line, 'void') : null,
  };
}

function text(line: Line, key: string): string {
  const value = line[key];
  if (typeof value !== 'string') throw badIndex(`${key} is no text`);
  return value;
}

function name(line: Line, key: string): Buffer {
  const bytes = line[`${key}Base64`];
  return typeof bytes === 'string' ? Buffer.from(bytes, 'base64') : Buffer.from(text(line, key));
}

function count(line: Line, key: string): number {
  const value = line[key];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw badIndex(`${key} is no count`);
  return value;
}

function hex(line: Line, key: string, bytes: number): Buffer {
  const value = Buffer.from(text(line, key), 'hex');
  if (value.length !== bytes) throw badIndex(`${key} is not ${bytes} bytes`);
  return value;
}

function nanoseconds(line: Line, key: string): bigint {
  const value = text(line, key);
  if (!/^-?\d{1,19}$/.test(value)) throw badIndex(`${key} is no time`);
  return BigInt(value);
}
