/** What one file is to the catalogue, and what is to be done about it. */
import type { FileRow } from '../catalog/model.ts';
import type { ReconcileLine } from '../daemon/protocol.ts';
import { classify, type Inode } from '../recall/classify.ts';
import type { StubRecord } from '../stub.ts';

export type Finding = Pick<ReconcileLine, 'finding' | 'action'> & { readonly record: StubRecord | null };

/** `row`: the catalogue's of this inode number, perhaps of another file that had it before. Null: all is well, or none of our business. */
export function judge(inode: Inode, row: FileRow | undefined): Finding | null {
  const own = row !== undefined && row.handleHash === inode.handleHash ? row : undefined;
  if (inode.bytes === null) return own === undefined ? null : withoutRecord(inode, own);
  const verdict = classify(inode);
  if (verdict.kind === 'refuse') return { finding: 'damaged', action: null, record: null };
  if (verdict.kind === 'resident') return { finding: 'foreign-record', action: 'drop-record', record: null };
  if (!verdict.own) return { finding: 'foreign-stub', action: 'adopt', record: verdict.record };
  return own !== undefined && own.object.equals(verdict.record.object) ? null : { finding: 'unknown-stub', action: 'adopt', record: verdict.record };
}

function withoutRecord({ stat, range }: Inode, row: FileRow): Finding | null {
  if (row.state === 'resident' || row.state === 'archiving') return null;
  const isSame = stat.size === row.size && stat.mtimeNs === row.mtimeNs;
  const isHollow = stat.size > 0 && range.data === -1 && row.state === 'stub';
  if (isHollow && isSame) return { finding: 'missing-record', action: 'write-record', record: null };
  // Only touched, or recalled and punched by its user: nobody can tell, so the version on tape stays wanted.
  if (isHollow && stat.size === row.size) return { finding: 'damaged', action: null, record: null };
  return isSame ? null : { finding: 'changed', action: 'resident', record: null };
}
