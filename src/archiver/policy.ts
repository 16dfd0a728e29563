/** Which files are worth archiving, from what the scan saw of them. */
import type { WalkBatch } from '../native/index.ts';
import type { ArchiveRequest, SkipReason } from './context.ts';
import { nameStart } from './file-list.ts';
import { compileGlob, type Glob } from './globs.ts';

/** STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND, statx(2). */
const sealed = 0x10 | 0x20;

/** Judges the rows of one batch: null for a file that is wanted. */
export type Judge = (row: number) => SkipReason | null;

export interface PolicyOptions extends Pick<ArchiveRequest, 'paths' | 'olderThan' | 'largerThan' | 'by' | 'include' | 'exclude'> {
  readonly nowMs: number;
  /** Folders of hsm's own, relative to the filesystem's root. */
  readonly ownFolders: readonly Buffer[];
}

/** Makes the judge of each batch. Rules are tried from the operator's own down to the file's age; the first that applies is the reason. */
export function compilePolicy(options: PolicyOptions): (batch: WalkBatch) => Judge {
  const cutoff = BigInt(Math.round((options.nowMs - options.olderThan * 1000) * 1000)) * 1000n;
  const largerThan = options.largerThan ?? 0;
  const globs = compileGlobs(options);
  return (batch) => {
    const outOfBounds = batch.dirs.map((dir) => options.ownFolders.some((folder) => isWithin(dir, folder)));
    const matcher = globs?.(batch);
    const { size, mtimeNs, atimeNs, dir } = batch;
    const tooYoung = (row: number): boolean => {
      if (options.by !== 'atime' && mtimeNs[row]! > cutoff) return true;
      return options.by !== 'mtime' && atimeNs[row]! > cutoff;
    };
    return (row) => {
      if (outOfBounds[dir[row]!] === true || matcher?.(row) === false) return 'excluded';
      const nature = unfit(batch, row);
      if (nature !== null) return nature;
      if (size[row]! <= largerThan) return 'size';
      return tooYoung(row) ? 'young' : null;
    };
  };
}

/** Why a file has nothing that a tape could take over, whatever the policy; null when it has. */
export function unfit({ size, blocks, hasRecord, attributes }: WalkBatch, row: number): SkipReason | null {
  if (size[row] === 0) return 'empty';
  if (blocks[row] === 0) return hasRecord[row] === 1 ? 'stub' : 'small';
  return (attributes[row]! & sealed) === 0 ? null : 'immutable';
}

export const isWithin = (path: Buffer, folder: Buffer): boolean =>
  folder.length === 0 || (path.subarray(0, folder.length).equals(folder) && (path.length === folder.length || path[folder.length] === 0x2f));

type Matcher = (row: number) => boolean;

/** Null when everything is wanted. */
function compileGlobs({ include, exclude, paths }: PolicyOptions): ((batch: WalkBatch) => Matcher) | null {
  if (include.length === 0 && exclude.length === 0) return null;
  const wanted = include.map(compileGlob);
  const unwanted = exclude.map(compileGlob);
  return (batch) => {
    const prefixes = batch.dirs.map((dir) => below(dir, paths));
    // A directory that is excluded by its name or path takes all below it along.
    const excluded = prefixes.map((prefix) => ancestors(prefix).some((each) => matchesAny(unwanted, each)));
    return (row) => {
      const dir = batch.dir[row]!;
      if (excluded[dir] === true) return false;
      const name = batch.names.toString('utf8', nameStart(batch, row), batch.nameEnd[row]);
      const path = `${prefixes[dir]!}${name}`;
      return !matchesAny(unwanted, path) && (wanted.length === 0 || matchesAny(wanted, path));
    };
  };
}

/** The directory below the PATH that it was found under, with a slash at the end; empty for that PATH itself. */
function below(dir: Buffer, paths: readonly Buffer[]): string {
  const root = paths.find((path) => isWithin(dir, path));
  // A PATH that is a file lies in `dir` rather than above it.
  if (root === undefined) return '';
  const rest = dir.toString('utf8', root.length === 0 || root.length === dir.length ? root.length : root.length + 1);
  return rest === '' ? '' : `${rest}/`;
}

const ancestors = (prefix: string): string[] => [...prefix.matchAll(/\//g)].map(({ index }) => prefix.slice(0, index));

const matchesAny = (globs: readonly Glob[], path: string): boolean => {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return globs.some((glob) => glob.matches(glob.wholePath ? path : name));
};
