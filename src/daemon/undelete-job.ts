/** Old versions of files: which there are, and jobs of `hsm undelete`. */
import { realpathSync } from 'node:fs';
import { HsmError, usageError } from '../errors.ts';
import { undelete } from '../recovery/undelete.ts';
import type { OldVersionRow } from '../catalog/model.ts';
import type { Daemon, DaemonFilesystem } from './daemon.ts';
import { managedPath, pathKeys, wireBytes } from './managed-paths.ts';
import { optionalText, type Params } from './params.ts';
import type { Undeleted, VersionLine, WirePath } from './protocol.ts';

type Parts = Pick<Daemon, 'catalog' | 'config' | 'drives' | 'filesystems' | 'recaller'>;

interface Place {
  readonly filesystem: DaemonFilesystem;
  /** Relative to its root. */
  readonly path: Buffer;
}

export interface UndeleteParams {
  readonly object: Buffer;
  readonly to: Place;
}

const slash = 0x2f;

export async function versionLines(parts: Parts, params: Params): Promise<VersionLine[]> {
  const { catalog, config } = parts;
  const place = placeOf(parts, wirePath(params, 'path'));
  const versions = await versionsAt(parts, place);
  const objects = await catalog.objects(versions.map(({ object }) => object));
  return versions.map(({ object, size, mtimeNs, endedAt }, i) => ({
    object: object.toString('hex'),
    size,
    mtime: timeOf(mtimeNs),
    endedAt: new Date(endedAt).toISOString(),
    keptUntil: new Date(endedAt + config.archive.retentionS * 1000).toISOString(),
    volume: objects[i]?.copies[0]?.volume ?? null,
  }));
}

/** Without an object: the newest version. */
export async function parseUndelete(parts: Parts, params: Params): Promise<UndeleteParams> {
  const from = placeOf(parts, wirePath(params, 'path'));
  const wanted = optionalText(params, 'object');
  if (wanted !== null && !/^[0-9a-f]{4,32}$/.test(wanted)) throw usageError(`'${wanted}' is no object: give its hex digits, or the first of them, from --list`);
  const versions = await versionsAt(parts, from);
  const found = versions.filter(({ object }) => wanted === null || object.toString('hex').startsWith(wanted));
  if (wanted !== null && found.length > 1) throw usageError(`${found.length} versions begin with ${wanted}: give more digits`);
  const [version] = found;
  if (version === undefined) throw new HsmError('ENOENT', wanted === null ? 'no old version of it is known. If it was deleted since hsm reconcile ran last: run that first' : `no old version of it is ${wanted}: see --list`);
  if (params['into'] === undefined || params['into'] === null) return { object: version.object, to: from };
  const into = managedPath(wirePath(params, 'into'), parts.config.filesystems);
  const name = from.path.subarray(from.path.lastIndexOf(slash) + 1);
  return { object: version.object, to: { filesystem: mounted(parts.filesystems[into.filesystem]), path: into.rel.length === 0 ? name : Buffer.concat([into.rel, Buffer.from('/'), name]) } };
}

export async function runUndelete({ catalog, drives, recaller }: Parts, { object: id, to: { filesystem, path } }: UndeleteParams): Promise<Undeleted> {
  await recaller.settle();
  const { object, incomplete } = await undelete({ catalog, drives, target: filesystem }, { object: id, path });
  return { ...pathKeys(filesystem.path, path), object: id.toString('hex'), size: object.size, mtime: timeOf(object.mtimeNs), incomplete };
}

const versionsAt = ({ catalog }: Parts, { filesystem, path }: Place): Promise<OldVersionRow[]> => catalog.oldVersions(filesystem.id, path);

const timeOf = (ns: bigint): string => new Date(Number(ns / 1_000_000n)).toISOString();

function wirePath(params: Params, key: string): WirePath {
  const value = params[key];
  if (typeof value === 'string' && value.startsWith('/')) return value;
  if (typeof value === 'object' && value !== null && 'base64' in value && typeof value.base64 === 'string') return { base64: value.base64 };
  throw usageError(`${key} must be an absolute path`);
}

/** Of a path that need not exist; links on the way to its directory are followed as far as that is there. */
function placeOf({ config, filesystems }: Parts, path: WirePath): Place {
  const bytes = wireBytes(path);
  const cut = bytes.lastIndexOf(slash);
  const name = bytes.subarray(cut + 1);
  if (name.length === 0 || name.toString() === '.' || name.toString() === '..') throw usageError(`${bytes.toString()} is not the path of a file`);
  const real = Buffer.concat([realDirectory(bytes.subarray(0, cut)), Buffer.from('/'), name]);
  const isBelow = (root: string): boolean => real.subarray(0, Buffer.byteLength(root) + 1).equals(Buffer.from(`${root}/`));
  const root = config.filesystems.filter(isBelow).toSorted((a, b) => b.length - a.length)[0];
  if (root === undefined) throw new HsmError('NOT_MANAGED', `${bytes.toString()} is on no managed filesystem: hsm manages ${config.filesystems.join(', ')}`);
  return { filesystem: mounted(filesystems[config.filesystems.indexOf(root)]), path: real.subarray(Buffer.byteLength(root) + 1) };
}

function realDirectory(directory: Buffer): Buffer {
  try {
    return realpathSync.native(directory, 'buffer');
  } catch {
    return directory;
  }
}

function mounted(filesystem: DaemonFilesystem | undefined): DaemonFilesystem {
  if (filesystem === undefined || filesystem.mountFd < 0) throw new HsmError('ENODEV', `${filesystem?.path ?? 'the filesystem'} is not mounted`);
  return filesystem;
}
