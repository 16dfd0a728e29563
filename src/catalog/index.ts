/** The catalogue: everything hsm knows about files, objects, volumes and jobs, in one durable SQLite file. */
import { Adoption } from './adoption.ts';
import { Archive } from './archive.ts';
import { Containers } from './containers.ts';
import { Counts } from './counts.ts';
import { connect, type Database } from './database.ts';
import { Directories } from './directories.ts';
import { Events } from './events.ts';
import { Files } from './files.ts';
import { Filesystems } from './filesystems.ts';
import { Jobs } from './jobs.ts';
import { MaintenanceThread } from './maintenance.ts';
import { defineMemberRows } from './member-rows.ts';
import { MediaUses } from './media-use.ts';
import { migrate } from './migrate.ts';
import type { Catalog } from './model.ts';
import { Objects, type Places } from './objects.ts';
import { OldVersions } from './old-versions.ts';
import { Reader } from './reader.ts';
import { Reclaim } from './reclaim.ts';
import { RecallRequests } from './requests.ts';
import { sqliteError } from './sqlite-error.ts';
import { Usage } from './usage.ts';
import { Volumes } from './volumes.ts';
import { Writer } from './writer.ts';

export interface CatalogOptions {
  /** ms since the epoch. */
  readonly now?: () => number;
  /** Rows of a bulk method that one transaction takes. */
  readonly sliceRows?: number;
  /** Events that the log keeps. */
  readonly keepEvents?: number;
  /** For tests of a full catalogue: the most 4 KiB pages the file may have. */
  readonly maxPages?: number;
  /** Only look: nothing is created or migrated, and methods that write fail. */
  readonly readonly?: boolean;
}

/**
 * Opens or creates the catalogue at `path` and brings it to this release's schema. Errors: ENOENT, EACCES, `NOT_CATALOG`, `NOT_DURABLE`,
 * `NEWER_SCHEMA`, `CATALOG_DAMAGED`. Every method may fail with ENOSPC or EAGAIN (retry 'later'), EIO, or `CLOSED`; after any of them the
 * catalogue is as it was before the call, or for bulk methods before the slice that failed, and may be used further.
 */
export function openCatalog(path: string, options: CatalogOptions = {}): Catalog {
  const db = connect(path, { readonly: options.readonly ?? false, ...(options.maxPages === undefined ? {} : { maxPages: options.maxPages }) });
  try {
    migrate(db, path);
    defineMemberRows(db);
    return assemble(db, path, options);
  } catch (error) {
    db.close();
    throw sqliteError(error, path);
  }
}

function assemble(db: Database, path: string, options: CatalogOptions): Catalog {
  const now = options.now ?? Date.now;
  const sliceRows = options.sliceRows ?? 3000;
  const directories = new Directories(db);
  const reader = new Reader(db, path, sliceRows);
  const writer = new Writer(db, path, () => directories.forget());
  const filesystems = new Filesystems(db, directories);
  const counts = new Counts(db);
  const usage = new Usage(db);
  const old = new OldVersions(db, directories, now);
  const volumes = new Volumes(db);
  const mediaUses = new MediaUses(db, now);
  const containers = new Containers(db, volumes, usage, now);
  const files = new Files(db, { directories, counts, usage, old });
  const archive = new Archive(db, { directories, containers, counts, usage, old });
  const adoption = new Adoption(db, { directories, counts, usage, old });
  const reclaim = new Reclaim(db, { volumes, containers, usage });
  const objects = new Objects(db, directories);
  const jobs = new Jobs(db, now);
  const requests = new RecallRequests(db, now);
  const events = new Events(db, now, options.keepEvents ?? 100_000);

  const read = <T>(run: () => T): Promise<T> => reader.read(run);
  const write = <T>(run: () => T): Promise<T> => writer.write(run);

  return {
    addFilesystem: (row) => write(() => filesystems.add(row)),
    filesystems: () => read(() => filesystems.all()),

    addVolume: (volume) => write(() => volumes.add(volume)),
    volumes: () => read(() => volumes.all()),
    volume: (barcode) => read(() => volumes.get(barcode)),
    setVolume: (barcode, change) => write(() => volumes.set(barcode, change)),
    exportVolume: (barcode) => write(() => volumes.export(barcode)),
    importVolume: (barcode) => write(() => volumes.import(barcode)),
    removeVolume: (barcode) => write(() => volumes.remove(barcode)),
    addUse: (uses) => write(() => mediaUses.add(uses)),
    setReport: (kind, name, report) => write(() => mediaUses.setReport(kind, name, report)),
    mediaUse: () => read(() => mediaUses.all()),
    beginContainer: (barcode, startBlock) => write(() => containers.begin(barcode, startBlock)),
    closeContainer: (id, end) => write(() => containers.close(id, end)),
    containers: (barcode) => read(() => containers.on(barcode)),
    markVerified: (ids) => write(() => containers.markVerified(ids)),

    addArchived: (ids, members) => writer.writeSlices(members.count, sliceRows, (from, to) => archive.add(ids, members, from, to)),
    adoptStubs: (filesystem, stubs) => writer.writeSlices(stubs.length, sliceRows, (from, to) => adoption.adopt(filesystem, stubs.slice(from, to))),
    filesByInode: (filesystem, inos) => reader.readSlices(inos, (slice) => files.getMany(filesystem, slice)),
    object: (id) => read(() => objects.get(id)),
    objects: (ids) =>
      reader.readSlices(ids, (slice) => {
        const places: Places = new Map();
        return slice.map((id) => objects.get(id, places));
      }),
    moveFiles: (filesystem, moves) => writer.writeSlices(moves.length, sliceRows, (from, to) => files.move(filesystem, moves.slice(from, to))),
    dropFiles: (filesystem, inos) => writer.writeSlices(inos.length, sliceRows, (from, to) => files.drop(filesystem, inos.slice(from, to))),
    filesBehind: (filesystem, ino, limit) => read(() => files.behind(filesystem, ino, limit)),
    pathsOf: (filesystem, inos) => reader.readSlices(inos, (slice) => slice.map((ino) => files.pathOf(filesystem, ino))),
    renameFiles: (filesystem, names) => writer.writeSlices(names.length, sliceRows, (from, to) => files.rename(filesystem, names.slice(from, to))),
    ownerOf: (object) => read(() => files.ownerOf(object)),
    filesInState: (filesystem, state, limit) => reader.readPages(files.inState(filesystem, state, limit)),
    countStates: (filesystem) => read(() => counts.of(filesystem)),
    pathOf: (filesystem, ino) => read(() => files.pathOf(filesystem, ino)),
    volumeUsage: () => read(() => volumes.usage()),
    objectsOnVolume: (barcode, after, limit) => read(() => objects.onVolume(barcode, after, limit)),

    copiesToKeep: (container, after, limit, of) => read(() => reclaim.copies(container, after, limit, of)),
    addCopies: (container, copies) => writer.writeSlices(copies.length, sliceRows, (from, to) => reclaim.add(container, copies.slice(from, to))),
    dropMovedCopies: async (container, ids) => {
      if (ids !== undefined) return write(() => reclaim.dropMoved(container, ids.length, ids));
      let dropped = 0;
      for (;;) {
        const some = await write(() => reclaim.dropMoved(container, sliceRows));
        dropped += some;
        if (some < sliceRows) return dropped;
      }
    },
    dropExpiredCopies: async (container, ids, endedBefore) => {
      let dropped = 0;
      await writer.writeSlices(ids.length, sliceRows, (from, to) => void (dropped += reclaim.dropExpired(container, ids.slice(from, to), endedBefore)));
      return dropped;
    },
    scratchVolume: (barcode, firstBlock) => write(() => reclaim.scratch(barcode, firstBlock)),

    oldVersions: (filesystem, path) => read(() => old.named(filesystem, path)),

    addJob: (kind, uid, spec) => write(() => jobs.add(kind, uid, spec)),
    setJob: (id, state, summary) => write(() => jobs.set(id, state, summary)),
    jobs: (limit) => read(() => jobs.newest(limit)),
    addRecallRequest: (row) => write(() => requests.add(row)),
    endRecallRequests: (ids, state, reason) => write(() => requests.end(ids, state, reason)),
    openRecallRequests: () => read(() => requests.open()),
    logEvent: (kind, uid, data) => write(() => events.add(kind, uid, data)),
    events: (limit) => read(() => events.newest(limit)),
    lastEvent: (kind) => read(() => events.last(kind)),

    prepareDump: () => new MaintenanceThread(),
    dump: async (target, { thread = new MaintenanceThread(), durable = true } = {}) => {
      await thread.run({ kind: 'dump', path, target, durable });
    },
    supersededFiles: async (filesystem) => (await new MaintenanceThread().run({ kind: 'superseded', path, filesystem })).map(Number),
    check: () => new MaintenanceThread().run({ kind: 'check', path }),
    close: async () => {
      if (!db.open) return;
      writer.close();
      db.close();
    },
  };
}
