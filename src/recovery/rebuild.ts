/** `hsm rebuild`: a catalogue from cartridges, and from the stubs of the filesystems that are mounted. */
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CatalogBuilder, type StagedFile, type VolumeOnTape } from '../catalog/rebuild/index.ts';
import type { FilesystemRow, VolumeRow } from '../catalog/model.ts';
import type { Progress } from '../daemon/protocol.ts';
import { HsmError } from '../errors.ts';
import type { DrivePool } from '../library/drive-pool.ts';
import { firstContainerAddress, readMember } from '../media/containers.ts';
import type { Medium } from '../media/medium.ts';
import type { TapeFile } from '../media/tape-files.ts';
import { native } from '../native/index.ts';
import { extractTo } from './extract.ts';
import { readContainer } from './read-container.ts';
import { scanFilesystem, volumesOfStubs, type ScanCounts } from './scan-filesystem.ts';
import { newestDump, surveyVolume, type FoundDump, type Survey } from './survey.ts';
import { stateOnTape } from './volume-state.ts';

export interface RebuildRequest {
  /** `tapes`: all volumes, from their newest catalogue dump on. `stubs`: the volumes that stubs name, and no dump. */
  readonly from: 'tapes' | 'stubs';
  /** Volumes that are taken in although the newest catalogue does not know them. */
  readonly include: readonly string[];
  /** Volumes that are left alone. */
  readonly exclude: readonly string[];
  /** Use no dump, whatever volumes hold. */
  readonly withoutDump: boolean;
}

export interface MountedNow extends Omit<FilesystemRow, 'id'> {
  /** Directory fd inside a private mount. */
  readonly mountFd: number;
}

export interface RebuildContext {
  readonly drives: Pick<DrivePool, 'withVolume' | 'up'>;
  /** Volumes that are in the library. */
  readonly barcodes: readonly string[];
  /** Those of the configuration that are mounted. */
  readonly filesystems: readonly MountedNow[];
  /** Those of the configuration. */
  readonly pools: readonly string[];
  /** The file to build; anything there is removed, and so are files whose name begins with its. */
  readonly path: string;
  readonly now: () => number;
  /** True once it is to end with `ECANCELED`. */
  stopRequested(): boolean;
}

/** One volume, when it has been read. */
export interface VolumeOutcome {
  readonly volume: string;
  /** `refused`: not of this installation, or not hsm's; nothing of it is in the catalogue. `missing`: known, and not in the library. */
  readonly result: 'read' | 'blank' | 'refused' | 'missing' | 'damaged';
  readonly pool: string | null;
  readonly state: VolumeRow['state'] | null;
  /** Containers that were taken from the dump, and that were read from the volume. */
  readonly known: number;
  readonly read: number;
  readonly reason: string | null;
}

export interface LostOutcome {
  /** As the filesystem was mounted last, or null. */
  readonly filesystem: string | null;
  readonly path: Buffer;
  readonly volume: string | null;
  /** `no-copy`: no volume holds its data. `no-hash`: a volume does, and nothing tells whether it is right. `unknown-object`: a stub names an object that no volume has. */
  readonly reason: 'no-copy' | 'no-hash' | 'unknown-object';
}

export interface RebuildObserver {
  progress(progress: Progress): void;
  volume(outcome: VolumeOutcome): void;
  lost(outcome: LostOutcome): void;
}

export interface RebuildSummary {
  /** Name of the dump that it stands on. */
  readonly dump: string | null;
  readonly volumes: number;
  readonly refused: number;
  readonly missing: number;
  readonly damaged: number;
  readonly files: number;
  readonly stubs: number;
  /** Records that are another inode's. */
  readonly foreign: number;
  readonly gone: number;
  readonly lost: number;
}

/** Builds the catalogue at `context.path`, whole and durable when it resolves. Fails with `NO_VOLUME` where no volume is one of hsm. */
export async function buildCatalogue(context: RebuildContext, request: RebuildRequest, observer: RebuildObserver): Promise<RebuildSummary> {
  await removeLeftovers(context.path);
  const run = new Rebuild(context, request, observer);
  try {
    return await run.run();
  } catch (error) {
    run.close();
    await removeLeftovers(context.path);
    throw error;
  }
}

/** The database, SQLite's files beside it, and parts of volumes. */
async function removeLeftovers(path: string): Promise<void> {
  for (const name of await readdir(dirname(path))) if (name.startsWith(basename(path))) await rm(join(dirname(path), name), { force: true });
}

type ReadVolume = Omit<VolumeOnTape, 'barcode'> & Pick<VolumeOutcome, 'result' | 'known' | 'read'>;

class Rebuild {
  readonly #context: RebuildContext;
  readonly #request: RebuildRequest;
  readonly #observer: RebuildObserver;
  readonly #surveys = new Map<string, Survey>();
  readonly #outcomes = new Map<VolumeOutcome['result'], number>();
  readonly #read = new Map<string, ReadVolume>();
  #builder: CatalogBuilder | null = null;
  #dump: FoundDump | null = null;
  #containers = 0;
  #lost = 0;

  constructor(context: RebuildContext, request: RebuildRequest, observer: RebuildObserver) {
    this.#context = context;
    this.#request = request;
    this.#observer = observer;
  }

  async run(): Promise<RebuildSummary> {
    const wanted = await this.#wantedVolumes();
    await this.#eachVolume('looking at volumes', wanted, async (barcode, medium) => void this.#surveys.set(barcode, await surveyVolume(medium)));
    const builder = await this.#openBuilder();
    this.#builder = builder;
    const dumpVolumes = new Map(builder.volumes().map((volume) => [volume.barcode, volume]));
    const filesystems = this.#context.filesystems.map((mounted) => ({ ...builder.addFilesystem(mounted), mountFd: mounted.mountFd }));
    const accepted = wanted.filter((barcode) => this.#accept(barcode, dumpVolumes.get(barcode)));
    await this.#eachVolume('reading volumes', accepted, (barcode, medium) => this.#readVolume(builder, medium, this.#surveys.get(barcode)!, dumpVolumes.get(barcode)));
    for (const volume of dumpVolumes.values()) this.#tellMissing(builder, volume);
    for (const barcode of this.#context.barcodes) if (this.#request.from === 'stubs' && !wanted.includes(barcode)) this.#addUnread(builder, barcode);
    builder.versions.settle((files) => whose(builder, filesystems, files));
    this.#endVolumes(builder);
    const scanned = await this.#scan(builder, filesystems);
    this.#tellLost(builder);
    const { files, problems } = builder.finish();
    if (problems.length > 0) throw new HsmError('CATALOG_DAMAGED', `the catalogue that was built is not whole: ${problems[0]}`, { path: this.#context.path });
    const count = (result: VolumeOutcome['result']): number => this.#outcomes.get(result) ?? 0;
    return {
      dump: this.#dump?.name.replace(/^\.hsm\//, '') ?? null,
      volumes: count('read') + count('blank') + count('damaged'),
      refused: count('refused'),
      missing: count('missing'),
      damaged: count('damaged'),
      files,
      ...scanned,
      lost: this.#lost,
    };
  }

  close(): void {
    this.#builder?.close();
  }

  async #wantedVolumes(): Promise<string[]> {
    const { barcodes, filesystems } = this.#context;
    const { from, include, exclude } = this.#request;
    const present = barcodes.filter((barcode) => !exclude.includes(barcode)).toSorted();
    if (from === 'tapes') return present;
    const named = new Set(include);
    for (const { mountFd } of filesystems) for (const barcode of await volumesOfStubs(mountFd)) named.add(barcode);
    if (named.size === 0) throw new HsmError('NO_VOLUME', 'no filesystem that is mounted has a stub: rebuild from the tapes');
    return present.filter((barcode) => named.has(barcode));
  }

  /** As many volumes at a time as there are drives. One that cannot be loaded or fails is told about; the others go on. */
  async #eachVolume(phase: string, barcodes: readonly string[], use: (barcode: string, medium: Medium) => Promise<void>): Promise<void> {
    const left = [...barcodes];
    let done = 0;
    const tell = (): void => this.#observer.progress({ phase, files: this.#containers, bytes: 0, totalFiles: null, totalBytes: null, note: `${done} of ${barcodes.length} volumes` });
    const worker = async (): Promise<void> => {
      for (let barcode = left.shift(); barcode !== undefined; barcode = left.shift()) {
        const each = barcode;
        this.#checkStop();
        tell();
        await this.#context.drives.withVolume(each, 'read', 'bulk', (medium) => use(each, medium)).catch((error: unknown) => this.#unreadable(each, error));
        done += 1;
      }
    };
    const ends = await Promise.allSettled(Array.from({ length: Math.max(1, this.#context.drives.up) }, worker));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    tell();
  }

  #unreadable(barcode: string, error: unknown): void {
    if (error instanceof HsmError && error.code === 'ECANCELED') throw error;
    if (!(error instanceof HsmError) || error.code === 'NO_DRIVE') throw error;
    this.#surveys.delete(barcode);
    this.#tell({ volume: barcode, result: 'damaged', pool: null, state: null, known: 0, read: 0, reason: error.message });
  }

  /** From the newest dump that is whole, else from nothing. */
  async #openBuilder(): Promise<CatalogBuilder> {
    const { path, now } = this.#context;
    const surveys = [...this.#surveys.values()].filter(({ kind }) => kind === 'hsm');
    if (surveys.length === 0) throw new HsmError('NO_VOLUME', 'no volume in the library is one of hsm: check the library with hsm doctor');
    const dumps = new Map(surveys.flatMap(({ barcode, dump }) => (dump === null ? [] : [[barcode, dump] as const])));
    while (dumps.size > 0 && this.#request.from === 'tapes' && !this.#request.withoutDump) {
      const [barcode, dump] = [...dumps].reduce((best, each) => (each[1].name > best[1].name ? each : best));
      const builder = await this.#tryDump(barcode, dump);
      if (builder !== null) {
        this.#dump = dump;
        return builder;
      }
      const files = this.#surveys.get(barcode)!.files.filter(({ start }) => start < dump.file.start);
      const older = await this.#context.drives.withVolume(barcode, 'read', 'bulk', (medium) => newestDump(medium, files)).catch(() => null);
      if (older === null) dumps.delete(barcode);
      else dumps.set(barcode, older);
    }
    return new CatalogBuilder(path, now);
  }

  async #tryDump(barcode: string, { file, entry }: FoundDump): Promise<CatalogBuilder | null> {
    const { path, drives, now } = this.#context;
    try {
      await drives.withVolume(barcode, 'read', 'bulk', (medium) => extractTo(path, medium, file.start, entry));
      const builder = new CatalogBuilder(path, now);
      if (builder.check().length === 0) return builder;
      builder.close();
    } catch (error) {
      if (!(error instanceof HsmError) || error.code === 'NEWER_SCHEMA' || error.code === 'ECANCELED') throw error;
    }
    await removeLeftovers(path);
    return null;
  }

  /** Volumes of somebody else are told about and left alone. */
  #accept(barcode: string, known: VolumeRow | undefined): boolean {
    const survey = this.#surveys.get(barcode);
    if (survey === undefined) return false;
    const refuse = (reason: string): boolean => {
      this.#tell({ volume: barcode, result: 'refused', pool: null, state: null, known: 0, read: 0, reason });
      return false;
    };
    if (known !== undefined || this.#request.include.includes(barcode)) return survey.kind !== 'foreign' || known !== undefined || refuse(survey.problem ?? 'it is not one of hsm');
    if (survey.kind === 'foreign') return refuse(survey.problem ?? 'it is not one of hsm');
    if (this.#dump !== null && survey.dump !== null && survey.dump.name < this.#dump.name) {
      return refuse(`it holds a catalogue of its own, older than ${this.#dump.name.slice('.hsm/'.length)}, which does not know the volume: it is of another installation, or was retired; --include ${barcode} takes it in`);
    }
    return true;
  }

  async #readVolume(builder: CatalogBuilder, medium: Medium, survey: Survey, row: VolumeRow | undefined): Promise<void> {
    const { barcode, files, capacity, used } = survey;
    const { known, lost } = await matchKnown(builder, medium, survey, row);
    let read = 0;
    const unread: string[] = [];
    // Containers cannot be added to a volume that has no row.
    builder.tapes.putVolume({ barcode, pool: row?.pool ?? null, state: 'suspect', reason: null, capacity, used, endBlock: 0, serial: survey.serial });
    let hasVoidEnd = false;
    for (const file of files) {
      if (known.has(file.start)) continue;
      this.#checkStop();
      try {
        const { container, filesystem, hashes } = await readContainer(medium, file, `${this.#context.path}.${barcode}`);
        builder.transaction(() => {
          builder.tapes.add({ ...container, filesystem: filesystem === null ? null : filesystemOf(builder, filesystem) });
          for (const { object, sha256 } of hashes) builder.versions.addHash(object, sha256);
        });
        hasVoidEnd = container.state === 'void';
        read += 1;
      } catch (error) {
        if (!(error instanceof HsmError) || error.code === 'ECANCELED') throw error;
        unread.push(`the container at block ${file.start}: ${error.message}`);
      }
      this.#containers += 1;
    }
    const problem = survey.problem ?? (unread.length === 0 ? null : `${unread.length} of its containers cannot be read, the first is ${unread[0]}`);
    if (isStillScratch(row, survey.serial) && problem === null) {
      this.#read.set(barcode, { state: 'scratch', reason: null, pool: row?.pool ?? null, capacity, used: 0, endBlock: firstContainerAddress, serial: survey.serial, result: 'read', known: known.size, read });
      return;
    }
    const state = stateOnTape({ ...survey, problem }, row, { lost, hasVoidEnd });
    const result = survey.kind === 'blank' ? 'blank' : problem !== null || lost > 0 ? 'damaged' : 'read';
    this.#read.set(barcode, { ...state, pool: row?.pool ?? null, capacity, used, endBlock: endOf(files, hasVoidEnd), serial: survey.serial, result, known: known.size, read });
  }

  /** What volumes have in common, and so their pools, is known when all have been read. */
  #endVolumes(builder: CatalogBuilder): void {
    for (const [barcode, volume] of [...this.#read].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      const { state, reason, capacity, used, endBlock, serial, result, known, read } = volume;
      const pool = volume.pool ?? (state === 'scratch' ? null : this.#poolFor(builder, barcode));
      builder.tapes.putVolume({ barcode, pool, state, reason, capacity, used, endBlock, serial });
      this.#tell({ volume: barcode, result, pool, state, known, read, reason });
    }
  }

  /** Copies of one object are in different pools. */
  #poolFor(builder: CatalogBuilder, barcode: string): string | null {
    const taken = builder.tapes.poolsBeside(barcode);
    return this.#context.pools.find((pool) => !taken.includes(pool)) ?? this.#context.pools[0] ?? null;
  }

  #tellMissing(builder: CatalogBuilder, { barcode, pool, state, reason, capacity, used, endBlock, serial }: VolumeRow): void {
    if (this.#surveys.has(barcode) || state === 'exported') return;
    if (this.#context.barcodes.includes(barcode) && !this.#request.exclude.includes(barcode)) {
      // It is here and could not be loaded, which was told.
      builder.tapes.putVolume({ barcode, pool, state: state === 'failed' ? state : 'suspect', reason: 'it could not be loaded when the catalogue was rebuilt', capacity, used, endBlock, serial });
      return;
    }
    // Newer containers may be on it, which its end in the dump knows nothing of: nobody appends before it was read.
    if (state === 'writable' || state === 'scratch') {
      builder.tapes.putVolume({ barcode, pool, state: 'readonly', reason: 'it was not read when the catalogue was rebuilt: run it again with the volume', capacity, used, endBlock, serial });
    }
    this.#tell({ volume: barcode, result: 'missing', pool, state, known: builder.tapes.known(barcode).length, read: 0, reason: this.#request.exclude.includes(barcode) ? 'it was left out' : (reason ?? 'it is not in the library') });
  }

  /** No stub names it, and yet something may be on it. */
  #addUnread(builder: CatalogBuilder, barcode: string): void {
    builder.tapes.putVolume({ barcode, pool: null, state: 'suspect', reason: 'it was not read when the catalogue was rebuilt from stubs', capacity: 0, used: 0, endBlock: 0, serial: null });
  }

  async #scan(builder: CatalogBuilder, filesystems: readonly MountedRow[]): Promise<Pick<RebuildSummary, 'stubs' | 'foreign' | 'gone'>> {
    const total = { stubs: 0, foreign: 0, gone: 0 };
    for (const filesystem of filesystems) {
      this.#checkStop();
      const { stubs, foreign, gone }: ScanCounts = await scanFilesystem(builder, filesystem, {
        files: (files) => this.#observer.progress({ phase: 'looking for stubs', files, bytes: 0, totalFiles: null, totalBytes: null, note: filesystem.path }),
        lost: (path, { volume }) => this.#tellLostFile({ filesystem: filesystem.path, path, volume, reason: 'unknown-object' }),
      });
      total.stubs += stubs;
      total.foreign += foreign;
      total.gone += gone;
    }
    const seen = new Set(filesystems.map(({ id }) => id));
    for (const { id } of builder.filesystems()) if (!seen.has(id)) builder.scan.settleUnseen(id);
    return total;
  }

  #tellLost(builder: CatalogBuilder): void {
    const paths = new Map(builder.filesystems().map(({ id, path }) => [id, path]));
    for (const { filesystem, path, volume, reason } of builder.versions.lost()) {
      this.#tellLostFile({ filesystem: paths.get(filesystem) ?? null, path, volume, reason });
    }
  }

  #tellLostFile(outcome: LostOutcome): void {
    this.#lost += 1;
    this.#observer.lost(outcome);
  }

  #tell(outcome: VolumeOutcome): void {
    this.#outcomes.set(outcome.result, (this.#outcomes.get(outcome.result) ?? 0) + 1);
    this.#observer.volume(outcome);
  }

  #checkStop(): void {
    if (this.#context.stopRequested()) throw new HsmError('ECANCELED', 'stopped: there is no new catalogue, and what was there is as it was', { exit: 130 });
  }
}

interface MountedRow extends FilesystemRow {
  readonly mountFd: number;
}

/**
 * Which tape files are containers of the dump: those need not be read. A volume that was rewritten since holds none of them; what is
 * behind the first one that differs is not what the dump says.
 */
async function matchKnown(builder: CatalogBuilder, medium: Medium, { barcode, files, kind, serial }: Survey, row: VolumeRow | undefined): Promise<{ known: ReadonlySet<number>; lost: number }> {
  if (row === undefined) return { known: new Set(), lost: 0 };
  // Reclaimed, and not labelled since: what is there was copied to other volumes, or nobody wants it any more.
  if (isStillScratch(row, serial)) return { known: new Set(files.map(({ start }) => start)), lost: 0 };
  const containers = builder.tapes.known(barcode);
  const starts = new Set(kind === 'hsm' ? files.map(({ start }) => start) : []);
  const isThere = async ({ startBlock, first }: (typeof containers)[number]): Promise<boolean> => {
    if (!starts.has(startBlock)) return false;
    if (first === null) return true;
    const member = await readMember(medium, startBlock, first.offset).catch(() => null);
    return member?.object?.equals(first.object) ?? false;
  };
  const withMembers = containers.filter(({ first }) => first !== null);
  let good = containers.length;
  const firstIsThere = withMembers[0] === undefined || (await isThere(withMembers[0]));
  if (!firstIsThere) good = 0;
  // The last ones may be gone where the end of the tape is damaged.
  while (good > 0 && !(await isThere(containers[good - 1]!))) good -= 1;
  const rewritten = !firstIsThere && files.length > 0;
  const gone = containers.slice(good);
  if (gone[0] !== undefined) builder.tapes.forget(barcode, good === 0 ? 0 : gone[0].startBlock);
  // A tape file that the dump passes over was void when it was made.
  const end = good === containers.length ? row.endBlock : (gone[0]?.startBlock ?? 0);
  return { known: new Set(good === 0 ? [] : [...starts].filter((start) => start < end)), lost: rewritten ? 0 : gone.length };
}

const isStillScratch = (row: Pick<VolumeRow, 'state' | 'serial'> | undefined, serial: string | null): boolean => row?.state === 'scratch' && row.serial !== null && row.serial === serial;

function endOf(files: readonly TapeFile[], hasVoidEnd: boolean): number {
  const last = files.at(-1);
  if (last === undefined) return firstContainerAddress;
  if (last.ended) return last.start + last.blocks + 1;
  return hasVoidEnd ? last.start : last.start + last.blocks;
}

function filesystemOf(builder: CatalogBuilder, uuid: string): number {
  const known = builder.filesystems().find((each) => each.uuid === uuid);
  return (known ?? builder.addFilesystem({ uuid, path: `#${uuid}`, type: 'unknown' })).id;
}

/** The mounted filesystem that has one of these files still, else one that nobody knows. */
function whose(builder: CatalogBuilder, filesystems: readonly MountedRow[], files: readonly StagedFile[]): number {
  const owner = filesystems.find(({ mountFd }) => files.some(({ path, handleHash }) => isThere(mountFd, path, handleHash)));
  return owner?.id ?? filesystemOf(builder, 'unknown');
}

function isThere(mountFd: number, path: Buffer, handleHash: number): boolean {
  try {
    return native.handleHash(native.fileHandle(mountFd, path)) === handleHash;
  } catch {
    return false;
  }
}
