/** The members of one container as they come from the packer, in columns that grow. */
import type { ArchivedMembers } from '../catalog/model.ts';
import type { PackedMembers } from '../native/index.ts';
import { copyNames, nameStart, type FileList } from './file-list.ts';

/** Files pushed into one container; row numbers count over all parts, as the packer counts them. */
export class PushedFiles {
  readonly parts: FileList[] = [];
  readonly #starts: number[] = [];
  count = 0;

  push(part: FileList): void {
    this.parts.push(part);
    this.#starts.push(this.count);
    this.count += part.count;
  }

  /** The part that a row is in, and the row's number within it. */
  locate(row: number): { part: FileList; index: number; row: number } {
    let at = this.#starts.length - 1;
    while (at > 0 && this.#starts[at]! > row) at -= 1;
    const part = this.parts[at]!;
    return { part, index: at, row: row - this.#starts[at]! };
  }

  startOf(part: number): number {
    return this.#starts[part]!;
  }
}

type Column = Float64Array | BigInt64Array | Uint32Array | Uint8Array;

/** Members that are packed; those that the packer skipped are not in it. */
export class MemberList {
  count = 0;
  row = new Uint32Array(0);
  offset = new Float64Array(0);
  length = new Float64Array(0);
  headerLength = new Float64Array(0);
  size = new Float64Array(0);
  mtimeNs = new BigInt64Array(0);
  ctimeNs = new BigInt64Array(0);
  ino = new Float64Array(0);
  nlink = new Uint32Array(0);
  handleHash = new Uint32Array(0);
  objectIds = Buffer.alloc(0);
  sha256 = Buffer.alloc(0);

  /** Takes rows [from, to) of what the packer gave; all of them must be packed. */
  append(members: PackedMembers, from: number, to: number): void {
    this.#reserve(this.count + to - from);
    const at = this.count;
    this.row.set(members.row.subarray(from, to), at);
    this.offset.set(members.offset.subarray(from, to), at);
    this.length.set(members.length.subarray(from, to), at);
    this.headerLength.set(members.headerLength.subarray(from, to), at);
    this.size.set(members.size.subarray(from, to), at);
    this.mtimeNs.set(members.mtimeNs.subarray(from, to), at);
    this.ctimeNs.set(members.ctimeNs.subarray(from, to), at);
    this.ino.set(members.ino.subarray(from, to), at);
    this.nlink.set(members.nlink.subarray(from, to), at);
    this.handleHash.set(members.handleHash.subarray(from, to), at);
    this.objectIds.set(members.objectIds.subarray(from * 16, to * 16), at * 16);
    this.sha256.set(members.sha256.subarray(from * 32, to * 32), at * 32);
    this.count += to - from;
  }

  /** As the catalogue wants them, with the names that they were pushed under. */
  archived(filesystem: number, pushed: PushedFiles): ArchivedMembers {
    const { count } = this;
    const names = this.#names(pushed);
    return {
      filesystem,
      count,
      ...names,
      ino: this.ino.subarray(0, count),
      size: this.size.subarray(0, count),
      mtimeNs: this.mtimeNs.subarray(0, count),
      ctimeNs: this.ctimeNs.subarray(0, count),
      handleHash: this.handleHash.subarray(0, count),
      objectIds: this.objectIds.subarray(0, count * 16),
      sha256: this.sha256.subarray(0, count * 32),
      offset: this.offset.subarray(0, count),
      length: this.length.subarray(0, count),
    };
  }

  #names(pushed: PushedFiles): Pick<ArchivedMembers, 'dirs' | 'dir' | 'names' | 'nameEnd'> {
    const dirs: Buffer[] = [];
    const dir = new Uint32Array(this.count);
    const nameEnd = new Uint32Array(this.count);
    const names: Buffer[] = [];
    let bytes = 0;
    // One part after the other: rows come in the order in which they were pushed.
    for (let begin = 0; begin < this.count; ) {
      const { part, index } = pushed.locate(this.row[begin]!);
      const start = pushed.startOf(index);
      let end = begin;
      while (end < this.count && this.row[end]! >= start && this.row[end]! < start + part.count) end += 1;
      const rows = this.row.subarray(begin, end).map((row) => row - start);
      const firstDir = dirs.length;
      dirs.push(...part.dirs);
      const startBytes = bytes;
      for (let i = 0; i < rows.length; i += 1) {
        const row = rows[i]!;
        dir[begin + i] = firstDir + part.dir[row]!;
        bytes += part.nameEnd[row]! - nameStart(part, row);
        nameEnd[begin + i] = bytes;
      }
      const copied = Buffer.allocUnsafeSlow(bytes - startBytes);
      copyNames(part, rows, 0, rows.length, copied);
      names.push(copied);
      begin = end;
    }
    return { dirs, dir, names: names.length === 1 ? names[0]! : Buffer.concat(names), nameEnd };
  }

  #reserve(wanted: number): void {
    if (wanted <= this.row.length) return;
    const capacity = Math.max(1024, wanted, this.row.length * 2);
    this.row = grown(this.row, new Uint32Array(capacity));
    this.offset = grown(this.offset, new Float64Array(capacity));
    this.length = grown(this.length, new Float64Array(capacity));
    this.headerLength = grown(this.headerLength, new Float64Array(capacity));
    this.size = grown(this.size, new Float64Array(capacity));
    this.mtimeNs = grown(this.mtimeNs, new BigInt64Array(capacity));
    this.ctimeNs = grown(this.ctimeNs, new BigInt64Array(capacity));
    this.ino = grown(this.ino, new Float64Array(capacity));
    this.nlink = grown(this.nlink, new Uint32Array(capacity));
    this.handleHash = grown(this.handleHash, new Uint32Array(capacity));
    this.objectIds = grown(this.objectIds, Buffer.alloc(capacity * 16));
    this.sha256 = grown(this.sha256, Buffer.alloc(capacity * 32));
  }
}

function grown<T extends Column>(from: T, into: T): T {
  // The two are of one type, which the compiler cannot see of a union.
  (into as Uint8Array).set(from as Uint8Array);
  return into;
}
