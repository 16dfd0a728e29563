/** Tells files that the catalogue has, unchanged, from those that have to be written to tape. */
import type { CopyRow, FileRow, NewFileState, ObjectRow, VolumeState } from '../catalog/model.ts';
import type { Native, WalkBatch } from '../native/index.ts';
import type { ArchiverContext } from './context.ts';
import { pathOf } from './file-list.ts';

/** A file whose present content is on tape. */
export interface KnownFile {
  /** In its batch. */
  readonly row: number;
  /** As it is now: `ctimeNs` is that of the inode. */
  readonly file: FileRow;
  /** Its copies, all on volumes that can be trusted, the one to name in the stub first; never empty. */
  readonly copies: readonly CopyRow[];
}

export interface SortedFiles {
  readonly known: readonly KnownFile[];
  /** Rows that lack a good copy, or whose content is not what was archived. */
  readonly fresh: Uint32Array;
  /** Of `fresh`, those of which an older version, or one that lacks a good copy, is in the catalogue. */
  readonly changed: ReadonlySet<number>;
}

type KnownContext = Pick<ArchiverContext, 'catalog' | 'filesystem'> & { readonly native: Pick<Native, 'payloadDigest'> };

const trusted: Readonly<Record<VolumeState, boolean>> = {
  scratch: false,
  writable: true,
  full: true,
  readonly: true,
  exported: true,
  suspect: false,
  failed: false,
};

/**
 * Unchanged means size, mtime and ctime as the catalogue has them. Where only ctime differs, the content is read and compared: `rsync -t`
 * and `touch -r` put mtime back. `change` false leaves the catalogue as it is (a dry run).
 */
export async function sortKnown(context: KnownContext, batch: WalkBatch, rows: Uint32Array, { change }: { readonly change: boolean }): Promise<SortedFiles> {
  const { catalog, filesystem } = context;
  const files = await catalog.filesByInode(filesystem.row.id, inosOf(batch, rows));
  const fresh: number[] = [];
  const changed = new Set<number>();
  const same: { row: number; file: FileRow }[] = [];
  const moves: NewFileState[] = [];
  for (const [i, row] of rows.entries()) {
    const file = files[i];
    if (file === undefined) {
      fresh.push(row);
      continue;
    }
    const ctimeNs = await unchangedSince(context, batch, row, file);
    if (ctimeNs === null) {
      fresh.push(row);
      changed.add(row);
      continue;
    }
    // Data on disk, whatever a crash left in the catalogue.
    if (ctimeNs !== file.ctimeNs || file.state !== 'archived') moves.push({ ino: file.ino, to: 'archived', ctimeNs });
    same.push({ row, file: { ...file, state: 'archived', ctimeNs } });
  }
  if (change && moves.length > 0) await catalog.moveFiles(filesystem.row.id, moves);
  const known: KnownFile[] = [];
  const objects = same.length === 0 ? [] : await catalog.objects(same.map(({ file }) => file.object));
  for (const [i, { row, file }] of same.entries()) {
    const copies = trustedCopies(objects[i]);
    // A file that has lost one of its copies is as one that never had them all.
    if (copies.length > 0 && copies.length === objects[i]?.copies.length) {
      known.push({ row, file, copies });
    } else {
      fresh.push(row);
      changed.add(row);
    }
  }
  return { known, fresh: Uint32Array.from(fresh).sort(), changed };
}

export const trustedCopies = (object: ObjectRow | undefined): CopyRow[] => (object?.copies ?? []).filter(({ volumeState }) => trusted[volumeState]);

/** The inode's ctime when its content is that of the catalogue's row; else null. */
async function unchangedSince({ native, filesystem, catalog }: KnownContext, batch: WalkBatch, row: number, file: FileRow): Promise<bigint | null> {
  if (batch.size[row] !== file.size || batch.mtimeNs[row] !== file.mtimeNs) return null;
  const ctimeNs = batch.ctimeNs[row]!;
  if (ctimeNs === file.ctimeNs) return ctimeNs;
  const [object] = await catalog.objects([file.object]);
  if (object === undefined) return null;
  const digest = await native.payloadDigest(filesystem.mountFd, pathOf(batch, row)).catch(() => null);
  if (digest === null || digest.stat.ino !== file.ino || digest.stat.size !== file.size || digest.stat.mtimeNs !== file.mtimeNs) return null;
  return digest.sha256.equals(object.sha256) ? digest.stat.ctimeNs : null;
}

function inosOf(batch: WalkBatch, rows: Uint32Array): number[] {
  const inos = new Array<number>(rows.length);
  for (let i = 0; i < rows.length; i += 1) inos[i] = batch.ino[rows[i]!]!;
  return inos;
}
