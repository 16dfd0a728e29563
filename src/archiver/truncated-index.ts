/** The index that a truncated container could not be given, as a file for the container that follows it (docs/tape-format.md). */
import { open } from 'node:fs/promises';
import { pathOf } from './file-list.ts';
import type { MemberList, PushedFiles } from './members.ts';

/** A line of JSON for each member that counts, as in a container's own index, written to `path`. */
export async function writeTruncatedIndex(path: string, members: MemberList, pushed: PushedFiles): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    for (let from = 0; from < members.count; from += linesAtOnce) {
      let text = '';
      for (let i = from; i < Math.min(members.count, from + linesAtOnce); i += 1) text += `${JSON.stringify(entryOf(members, pushed, i))}\n`;
      await file.write(text);
    }
    await file.write(`${JSON.stringify({ format: 'hsm-index-end', offset: lengthOf(members), members: members.count })}\n`);
  } finally {
    await file.close();
  }
}

const linesAtOnce = 4096;

function entryOf(members: MemberList, pushed: PushedFiles, i: number): object {
  const { part, row } = pushed.locate(members.row[i]!);
  const name = pathOf(part, row);
  const text = name.toString('utf8');
  const isText = Buffer.from(text).equals(name);
  return {
    name: isText ? text : name.toString('latin1').replace(/[\x80-\xff]/g, '\ufffd'),
    ...(isText ? {} : { nameBase64: name.toString('base64') }),
    offset: members.offset[i],
    length: members.length[i],
    header: members.headerLength[i],
    size: members.size[i],
    object: members.objectIds.toString('hex', i * 16, i * 16 + 16),
    sha256: members.sha256.toString('hex', i * 32, i * 32 + 32),
    mtimeNs: String(members.mtimeNs[i]),
  };
}

const lengthOf = ({ count, offset, length }: MemberList): number => (count === 0 ? 0 : offset[count - 1]! + length[count - 1]!);
