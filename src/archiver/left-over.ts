/** Which files of a container that came to nothing, or to less than all, have to be archived again. */
import type { MemberList, PushedFiles } from './members.ts';
import type { FoundFiles } from './queue.ts';

/** `members` are those that count (null: none); `skipped` rows were counted. Further names of a file that counts are done with it. */
export function leftOver(pushed: PushedFiles, members: MemberList | null, skipped: ReadonlySet<number>): FoundFiles[] {
  const ended = new Uint8Array(pushed.count);
  const linked = new Set<number>();
  for (const row of skipped) ended[row] = 1;
  for (let i = 0; i < (members?.count ?? 0); i += 1) {
    ended[members!.row[i]!] = 1;
    if (members!.nlink[i]! > 1) linked.add(members!.ino[i]!);
  }
  return pushed.parts.map((files, index) => {
    const start = pushed.startOf(index);
    const rows = new Uint32Array(files.count);
    let count = 0;
    for (let row = 0; row < files.count; row += 1) {
      if (ended[start + row] === 0 && !linked.has(files.ino[row]!)) rows[count++] = row;
    }
    return { files, rows: rows.subarray(0, count) };
  });
}
