/** Jobs of `hsm restore-tree`: files of a filesystem that is lost, as stubs on a guarded one. */
import type { FilesystemRow } from '../catalog/model.ts';
import { HsmError, refusal, usageError } from '../errors.ts';
import { restoreTree, type RestoreTreeSummary } from '../recovery/restore-tree.ts';
import type { Daemon, DaemonFilesystem } from './daemon.ts';
import type { JobRun } from './jobs.ts';
import { pathKeys, wireBytes } from './managed-paths.ts';
import { flag, optionalText, wirePaths, type Params } from './params.ts';
import type { FileRowLine, LostFilesystemLine } from './protocol.ts';

export interface RestoreParams {
  /** Path, or UUID, of the filesystem that is lost. */
  readonly from: string | null;
  readonly into: DaemonFilesystem;
  /** Relative to the root; none: everything. */
  readonly paths: readonly Buffer[];
  readonly verbose: boolean;
}

export function parseRestore({ filesystems }: Pick<Daemon, 'filesystems'>, params: Params): RestoreParams {
  const wanted = optionalText(params, 'into');
  const into = wanted === null && filesystems.length === 1 ? filesystems[0] : filesystems.find(({ path }) => path === wanted);
  if (wanted === null && into === undefined) throw usageError(`several filesystems are managed: say --into with one of ${filesystems.map(({ path }) => path).join(', ')}`);
  if (into === undefined) throw new HsmError('NOT_MANAGED', `${wanted} is no managed filesystem: hsm manages ${filesystems.map(({ path }) => path).join(', ')}`);
  if (into.mountFd < 0) throw new HsmError('ENODEV', `${into.path} is not mounted: hsm mount DEVICE ${into.path}`, { path: into.path });
  const root = Buffer.from(into.path);
  const paths = (params['paths'] === undefined ? [] : wirePaths(params)).map((path) => {
    const bytes = wireBytes(path);
    if (bytes.equals(root)) return Buffer.alloc(0);
    if (!bytes.subarray(0, root.length + 1).equals(Buffer.concat([root, Buffer.from('/')]))) throw usageError(`${bytes.toString()} is not below ${into.path}, where the files are to be`);
    return bytes.subarray(root.length + 1);
  });
  return { from: optionalText(params, 'from'), into, paths, verbose: flag(params, 'verbose') };
}

/** Filesystems of the catalogue that are not managed now and have files. */
export async function lostFilesystems({ catalog, filesystems }: Pick<Daemon, 'catalog' | 'filesystems'>): Promise<(FilesystemRow & { readonly files: number })[]> {
  const lost: (FilesystemRow & { readonly files: number })[] = [];
  for (const row of await catalog.filesystems()) {
    if (filesystems.some(({ id }) => id === row.id)) continue;
    const { archived, stub, recalling, resident, archiving } = await catalog.countStates(row.id);
    const files = archived + stub + recalling + resident + archiving;
    if (files > 0) lost.push({ ...row, files });
  }
  return lost;
}

export const lostLine = ({ uuid, path, type, files }: FilesystemRow & { readonly files: number }): LostFilesystemLine => ({ uuid, path, type, files });

export async function runRestoreJob(daemon: Daemon, { from, into, paths, verbose }: RestoreParams, run: JobRun): Promise<RestoreTreeSummary> {
  const { catalog, drives, filesystems, log, recaller } = daemon;
  const lost = await lostFilesystems(daemon);
  const source = choose(lost, from, into, filesystems);
  // What recalls have still to write comes first.
  await recaller.settle();
  return restoreTree(
    { catalog, drives, target: into, stopRequested: () => run.signal.aborted },
    { from: source.id, paths },
    {
      progress: (progress) => run.progress(progress),
      file: ({ path, result, reason, size }) => {
        if (result !== 'failed' && result !== 'incomplete' && !verbose) return;
        const line: FileRowLine = {
          ...pathKeys(into.path, path),
          result: result === 'exists' ? 'skipped' : result,
          ...(reason === null ? {} : { reason }),
          ...(size === null ? {} : { size }),
        };
        void run.row(line);
      },
      volume: (barcode, reason) => log.warn({ barcode, reason }, 'a volume could not be read for a restore'),
    },
  );
}

function choose<Row extends FilesystemRow>(lost: readonly Row[], from: string | null, into: DaemonFilesystem, managed: readonly DaemonFilesystem[]): Row {
  const isOf = ({ path, uuid }: Row, name: string): boolean => path === name || uuid === name || path.startsWith(`${name}#`);
  const named = lost.filter((row) => isOf(row, from ?? into.path));
  const found = named.length === 0 && from === null ? lost : named;
  if (found[0] !== undefined && found.length === 1) return found[0];
  const list = found.map(({ path, uuid }) => `${uuid} (${path})`).join(', ');
  if (found.length > 1) throw usageError(`several filesystems are lost: say --from with the UUID of one of ${list}`);
  if (managed.some(({ path }) => path === from)) throw refusal(`${from} is managed now, and none that was there before is lost`, from ?? undefined);
  throw new HsmError('ENOENT', from === null ? 'the catalogue has files of no filesystem but those that are managed now: nothing is lost' : `the catalogue knows of no lost filesystem ${from}: see hsm restore-tree --list`);
}
