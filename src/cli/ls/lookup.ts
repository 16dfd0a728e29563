/** What the catalogue knows about files: from the daemon, else from the catalogue itself where this user may read it. */
import { accessSync, constants } from 'node:fs';
import { cataloguePath, type Config } from '../../config.ts';
import { connect } from '../../daemon/client.ts';
import { fileInfos } from '../../daemon/file-info.ts';
import type { FileInfo } from '../../daemon/protocol.ts';
import { errorCode } from '../../errors.ts';
import type { Entry } from './scan.ts';

type Lookup = (filesystem: string, inos: readonly number[]) => Promise<readonly (FileInfo | null)[]>;

const batchSize = 4096;

/** One element per entry; null where nothing is known. With `notes`, says on stderr when nobody could be asked. */
export async function loadFileInfo(config: Config, entries: readonly Entry[], options: { readonly notes: boolean }): Promise<(FileInfo | null)[]> {
  const info: (FileInfo | null)[] = entries.map(() => null);
  if (entries.every((each) => each.filesystem === null)) return info;
  const source = await openLookup(config);
  if (source === null) {
    if (options.notes) process.stderr.write(`hsm: no daemon answers at ${config.socket}: archived files are shown as resident\n`);
    return info;
  }
  try {
    await fill(info, entries, source.lookup);
  } finally {
    await source.close();
  }
  return info;
}

async function fill(info: (FileInfo | null)[], entries: readonly Entry[], lookup: Lookup): Promise<void> {
  const byFilesystem = new Map<string, number[]>();
  entries.forEach((entry, i) => {
    if (entry.filesystem === null) return;
    const rows = byFilesystem.get(entry.filesystem) ?? [];
    rows.push(i);
    byFilesystem.set(entry.filesystem, rows);
  });
  for (const [filesystem, rows] of byFilesystem) {
    for (let start = 0; start < rows.length; start += batchSize) {
      const slice = rows.slice(start, start + batchSize);
      const found = await lookup(
        filesystem,
        slice.map((row) => entries[row]?.ino ?? 0),
      );
      slice.forEach((row, i) => {
        info[row] = found[i] ?? null;
      });
    }
  }
}

async function openLookup(config: Config): Promise<{ lookup: Lookup; close(): Promise<void> } | null> {
  try {
    const client = await connect(config.socket);
    const lookup: Lookup = async (filesystemPath, inos) => (await client.call('files', { filesystemPath, inos })) as (FileInfo | null)[];
    return { lookup, close: async () => client.close() };
  } catch (error) {
    if (!['NO_DAEMON', 'EACCES'].includes(errorCode(error))) throw error;
  }
  return openCatalogue(config);
}

/** Null where there is none, or this user may not read it. */
async function openCatalogue(config: Config): Promise<{ lookup: Lookup; close(): Promise<void> } | null> {
  const path = cataloguePath(config.state);
  try {
    accessSync(path, constants.R_OK);
    const { openCatalog } = await import('../../catalog/index.ts');
    const catalog = openCatalog(path, { readonly: true });
    const rows = await catalog.filesystems();
    const lookup: Lookup = async (filesystemPath, inos) => {
      const row = rows.find((each) => each.path === filesystemPath);
      return row === undefined ? inos.map(() => null) : fileInfos(catalog, row.id, inos);
    };
    return { lookup, close: () => catalog.close() };
  } catch {
    return null;
  }
}
