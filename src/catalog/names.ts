/** File names in the database: TEXT where they are UTF-8, so that people can read them there, else BLOB. */
import { isAscii, isUtf8 } from 'node:buffer';

export type StoredName = string | Buffer;

export const storedName = (name: Buffer): StoredName => (isUtf8(name) ? name.toString('utf8') : Buffer.from(name));

export const nameBytes = (stored: StoredName): Buffer => (typeof stored === 'string' ? Buffer.from(stored, 'utf8') : stored);

/** Reads names out of one buffer, where name i ends at ends[i]; quick where all of them are ASCII. */
export function namesIn(names: Buffer, ends: Uint32Array): (i: number) => StoredName {
  const ascii = isAscii(names);
  return (i) => {
    const start = i === 0 ? 0 : (ends[i - 1] ?? 0);
    const end = ends[i] ?? start;
    return ascii ? names.toString('latin1', start, end) : storedName(names.subarray(start, end));
  };
}
