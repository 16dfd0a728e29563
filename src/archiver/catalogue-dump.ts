/** Puts a copy of the catalogue on every volume of a session, so that one volume alone can tell what is on all. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { MaintenanceThread } from '../catalog/maintenance.ts';
import { catalogueName } from '../media/format.ts';
import type { ContainerWriter } from './container-writer.ts';
import type { ArchiverContext } from './context.ts';

/** `volumes`: barcodes and their pools; `thread`: one that was prepared for it. A volume without room for it goes without: the next session's copy is newer anyway. */
export async function appendCatalogue(
  { catalog, drives, clock, log }: Pick<ArchiverContext, 'catalog' | 'drives' | 'clock' | 'log'>,
  writer: ContainerWriter,
  volumes: ReadonlyMap<string, string>,
  folder: string,
  thread?: MaintenanceThread,
): Promise<void> {
  const path = join(folder, 'catalogue.db');
  try {
    // What makes it durable is the tape.
    await catalog.dump(path, { thread, durable: false });
    const name = catalogueName(new Date(clock.now()));
    const written: string[] = [];
    for (const [barcode, pool] of volumes) {
      if ((await catalog.volume(barcode))?.state !== 'writable') continue;
      const done = await drives.withVolume(barcode, 'write', 'archive', (medium) => writer.appendFile(medium, pool, name, path));
      if (done) written.push(barcode);
      else log.warn({ barcode }, 'the catalogue was not copied to a volume');
    }
    if (written.length > 0) await catalog.logEvent('catalogue-copied', null, { name, volumes: written });
  } catch (error) {
    // The files are safe without it.
    log.warn({ error: error instanceof Error ? error.message : String(error) }, 'the catalogue was not copied to tape');
  } finally {
    await rm(path, { force: true });
  }
}
