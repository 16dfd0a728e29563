/** Bulk statements: rows go to SQLite as flat columns, and one INSERT ... SELECT takes in as many as there are. */
import { fileURLToPath } from 'node:url';
import type { Statement } from 'better-sqlite3';
import type { Database } from './database.ts';
import type { ArchivedMembers } from './model.ts';

/** Columns of `member_rows`, in the order of its arguments (native/catalogue/member_rows.cc), with the parameters that hold their values. */
const parameters = {
  object: '@objects',
  id: '@ids',
  sha256: '@sha256',
  ino: '@inos',
  size: '@sizes',
  mtime_ns: '@mtimes',
  ctime_ns: '@ctimes',
  handle_hash: '@handles',
  offset: '@offsets',
  length: '@lengths',
  directory: '@directories',
  name: '@names, @nameEnds',
} as const;

type Column = keyof typeof parameters;

/** What is bound: typed arrays, whose bytes SQLite copies, and numbers of the statement's own. */
export type MemberValues = Readonly<Record<string, NodeJS.ArrayBufferView | number>>;

export type MemberStatement = Statement<[MemberValues]>;

/** Before the first statement of a connection is prepared. */
export function defineMemberRows(db: Database): void {
  db.loadExtension(fileURLToPath(new URL('../../native/build/Release/hsm-member-rows.node', import.meta.url)));
}

/** The FROM clause for rows in the order of `@order` that have these columns; the values of the others need not be bound. */
export function memberRows(...columns: readonly Column[]): string {
  const values = Object.entries(parameters).map(([column, bound]) => (columns.includes(column as Column) ? bound : 'NULL'));
  return `member_rows(@order, ${values.join(', ')})`;
}

/** Rows [from, to), sharing memory with `members`. */
export function rowsOf(members: ArchivedMembers, from: number, to: number): ArchivedMembers {
  if (from === 0 && to === members.count) return members;
  const firstByte = from === 0 ? 0 : (members.nameEnd[from - 1] ?? 0);
  return {
    filesystem: members.filesystem,
    count: to - from,
    dirs: members.dirs,
    dir: members.dir.subarray(from, to),
    names: members.names.subarray(firstByte, members.nameEnd[to - 1]),
    nameEnd: members.nameEnd.subarray(from, to).map((end) => end - firstByte),
    ino: members.ino.subarray(from, to),
    size: members.size.subarray(from, to),
    mtimeNs: members.mtimeNs.subarray(from, to),
    ctimeNs: members.ctimeNs.subarray(from, to),
    handleHash: members.handleHash.subarray(from, to),
    objectIds: members.objectIds.subarray(from * 16, to * 16),
    sha256: members.sha256.subarray(from * 32, to * 32),
    offset: members.offset.subarray(from, to),
    length: members.length.subarray(from, to),
  };
}
