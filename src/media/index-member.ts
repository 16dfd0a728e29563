/** Writes a container's index member, for containers that are put together from members which are on tape already. docs/tape-format.md has the bytes. */
import { isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import { native } from '../native/index.ts';
import type { Member } from './member-walk.ts';

const unit = 512;

/** Where a member is in the new container. */
export interface IndexPlace {
  readonly offset: number;
  readonly length: number;
}

/** The line of a file's member. `sha256`: of the payload. */
export function fileLine(member: Member, place: IndexPlace, object: Buffer, sha256: Buffer): string {
  return line({
    ...nameKeys('name', member.name),
    ...placeKeys(member, place, object),
    ...(member.sparse ? { stored: member.payload } : {}),
    sha256: sha256.toString('hex'),
    mtimeNs: String(member.mtimeNs),
    ...(member.handle === '' ? {} : { handle: member.handle }),
  });
}

export const linkLine = (member: Member, place: IndexPlace, object: Buffer): string =>
  line({ ...nameKeys('name', member.name), ...placeKeys(member, place, object), ...nameKeys('link', member.link) });

/** A member that is not to be restored. */
export const voidLine = (member: Member, place: IndexPlace, object: Buffer, reason: string): string =>
  line({ ...nameKeys('name', member.name), ...placeKeys(member, place, object), void: reason });

/** The last line. `filesystem`: UUID, where it is known. */
export const endLine = (offset: number, members: number, filesystem: string | null): string =>
  line({ format: 'hsm-index-end', offset, members, ...(filesystem === null ? {} : { filesystem }) });

const line = (keys: object): string => `${JSON.stringify(keys)}\n`;

const placeKeys = ({ headerLength, size }: Member, { offset, length }: IndexPlace, object: Buffer): object => ({ offset, length, header: headerLength, size, object: object.toString('hex') });

/** A name that is not UTF-8 has U+FFFD for every byte above 127, and its bytes beside it. */
function nameKeys(key: 'name' | 'link', name: Buffer): Record<string, string> {
  if (isUtf8(name)) return { [key]: name.toString('utf8') };
  return { [key]: name.toString('latin1').replace(/[\x80-\xff]/g, '\ufffd'), [`${key}Base64`]: name.toString('base64') };
}

/** Header, payload and padding of the index member of a container whose first member is `first`. */
export function indexMember(first: Buffer, payload: Buffer, now: Date): Buffer {
  const padding = Buffer.alloc((unit - (payload.length % unit)) % unit);
  return Buffer.concat([memberHeader(`.hsm/index-${first.toString('hex')}.jsonl`, payload, now), payload, padding]);
}

function memberHeader(name: string, payload: Buffer, now: Date): Buffer {
  const time = `${Math.floor(now.getTime() / 1000)}.${String(now.getTime() % 1000).padStart(3, '0')}000000`;
  const records = [
    ...(['mtime', 'atime', 'ctime'] as const).map((key) => record(key, time)),
    record('HSM.sha256', hash('sha256', payload)),
    record('HSM.crc32c', '00000000'),
  ].join('');
  const pax = ustar({ name: 'PaxHeaders/member', mode: 0o600, size: records.length, mtime: 0, type: 'x' });
  const padded = Buffer.alloc(Math.ceil(records.length / unit) * unit);
  padded.write(records, 'latin1');
  const header = Buffer.concat([pax, padded, ustar({ name, mode: 0o400, size: payload.length, mtime: Math.floor(now.getTime() / 1000), type: '0' })]);
  header.write(native.crc32c(header).toString(16).padStart(8, '0'), unit + records.length - 9, 'latin1');
  return header;
}

/** `LENGTH KEY=VALUE\n`; LENGTH counts all of it. */
function record(key: string, value: string): string {
  const body = key.length + value.length + 3;
  let length = body + String(body).length;
  if (String(length).length !== String(body).length) length = body + String(length).length;
  return `${length} ${key}=${value}\n`;
}

function ustar({ name, mode, size, mtime, type }: { name: string; mode: number; size: number; mtime: number; type: 'x' | '0' }): Buffer {
  const header = Buffer.alloc(unit);
  const octal = (at: number, width: number, value: number): void => void header.write(value.toString(8).padStart(width - 1, '0'), at, 'latin1');
  header.write(name, 0, 100, 'latin1');
  octal(100, 8, mode);
  octal(108, 8, 0);
  octal(116, 8, 0);
  octal(124, 12, size);
  octal(136, 12, mtime);
  header.write(type, 156, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  header.fill(' ', 148, 156);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}
