/** What state a file is in, from what is on disk and what the catalogue knows. */
import type { FileInfo } from '../../daemon/protocol.ts';
import { native } from '../../native/index.ts';
import { decodeStubRecord, type StubRecord } from '../../stub.ts';
import type { Entry } from './scan.ts';

export type ListedFile = Pick<FileInfo, 'state' | 'copies'> & { readonly object: string | null };

const resident: ListedFile = { state: 'resident', object: null, copies: [] };
const atFdCwd = -100;

/**
 * A file that is not as the catalogue recorded it was changed since and is resident. Where the catalogue knows nothing, the
 * record on the file decides.
 */
export function fileState(entry: Entry, info: FileInfo | null): ListedFile {
  if (info === null) return fromRecord(entry);
  const changed = info.size !== entry.size || (info.state === 'archived' && BigInt(info.mtimeNs) !== entry.mtimeNs);
  if (changed || info.state === 'resident') return resident;
  return { state: info.state, object: info.object, copies: info.copies };
}

function fromRecord(entry: Entry): ListedFile {
  const record = entry.record === null ? null : decodeStubRecord(entry.record);
  if (record === null || record.size !== entry.size) return resident;
  if (entry.blocks > 0 && !belongs(record, entry)) return resident;
  const copy = { volume: record.volume, container: record.container, offset: record.offset, pool: null };
  return { state: 'stub', object: record.object.toString('hex'), copies: [copy] };
}

/** A file with data may be a copy that took the record along; a stub whose xattrs fill a block has the record of its own inode. */
function belongs(record: StubRecord, entry: Entry): boolean {
  try {
    return native.handleHash(native.fileHandle(atFdCwd, Buffer.from(entry.path, 'latin1'))) === record.handleHash;
  } catch {
    return false;
  }
}
