/** One run of `hsm archive`: scan, pack, write, verify, release, as docs/design.md "Archive" says. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Summary } from '../daemon/protocol.ts';
import type { MaintenanceThread } from '../catalog/maintenance.ts';
import { rowsOf } from '../catalog/member-rows.ts';
import { errorCode, exitCodes, HsmError, usageError } from '../errors.ts';
import { tapeBlockSize } from '../media/format.ts';
import { packStatus, type Packer, type WalkBatch } from '../native/index.ts';
import { ArchivedContainers } from './archived-containers.ts';
import { appendCatalogue } from './catalogue-dump.ts';
import { ContainerWriter, type BlockSource, type WriteOutcome, type WrittenContainer } from './container-writer.ts';
import { withNative, type ArchiveRequest, type ArchiverContext, type NativeContext, type Observer } from './context.ts';
import { Feed } from './feed.ts';
import { FileList, pathOf, weightOf } from './file-list.ts';
import { sortKnown } from './known-files.ts';
import { KnownRelease } from './known-release.ts';
import { leftOver } from './left-over.ts';
import { ownFolders } from './own-folders.ts';
import { Pace } from './pace.ts';
import { packSkips } from './pack-skips.ts';
import { compilePolicy, type Judge } from './policy.ts';
import { FileQueue, type FoundFiles } from './queue.ts';
import { Releaser } from './releaser.ts';
import { scan } from './scan.ts';
import { Tally } from './tally.ts';
import { writeTruncatedIndex } from './truncated-index.ts';
import { Volumes } from './volumes.ts';

/** About 200 bytes of each file of a container are kept until it is released. */
const mostFiles = 65_536;

/** Containers of very small files are ended early, so that one is taken into the catalogue while the next is written. */
const filesPerContainer = (containerSize: number): number => Math.min(mostFiles, Math.max(1024, Math.floor(containerSize / 2 ** 14)));

/** What is kept to be verified and released together. */
const windowFiles = 2 * mostFiles;
const windowContainers = 8;

/** A container of many files is left to end by itself for so long after a stop is requested, ms. */
const patience = 5000;

/** Rows that the catalogue takes in while no block waits. */
const rowsATurn = 3000;

/** Runs that are over sooner show no totals, ms. */
const totalsAfter = 3000;

/** Room for label, markers and index that a large file's volume must have beside it. */
const spare = 8 * 2 ** 20;

/**
 * Archives what the request names, and releases it unless `keepData`. Files that cannot be archived now are counted by reason. Fails
 * with `NO_DRIVE`, `NO_VOLUME`, or errors of catalogue and library; what was finished before stays finished, and a rerun goes on.
 */
export async function runArchive(given: ArchiverContext, request: ArchiveRequest, observer: Observer): Promise<Summary> {
  const context = withNative(given);
  checkPools(request.pools);
  const run = new ArchiveRun(context, request, observer);
  if (request.dryRun) return run.count();
  if (context.drives.up < request.pools.length) {
    throw new HsmError('NO_DRIVE', `a copy to each of ${request.pools.length} pools takes as many drives, and ${context.drives.up} are up: hsm drive up NAME, or fewer --pool`);
  }
  return run.run();
}

function checkPools(pools: readonly string[]): void {
  if (pools.length === 0) throw usageError('no pool is named: --pool NAME, or archive.pools in the configuration');
  if (new Set(pools).size !== pools.length) throw usageError(`a pool is named twice in ${pools.join(', ')}: two copies of a file go to two pools`);
}

class ArchiveRun {
  readonly #context: NativeContext;
  readonly #request: ArchiveRequest;
  readonly #tally: Tally;
  readonly #judgeOf: (batch: WalkBatch) => Judge;
  readonly #releaser: Releaser;
  readonly #known: KnownRelease;
  readonly #window: ArchivedContainers;
  readonly #pace = new Pace();
  readonly #volumes: Volumes;
  readonly #queue: FileQueue;
  /** Volumes that were written to, with their pools. */
  readonly #used = new Map<string, string>();
  /** Files that need no more tape, and their bytes. */
  readonly #done = { files: 0, bytes: 0 };
  /** Of containers on their way into the catalogue. */
  readonly #onTheWay = { files: 0, bytes: 0 };
  /** Done when every container written so far is in the catalogue, and when all but the last are. */
  #recording: Promise<void> = Promise.resolve();
  #recordingBefore: Promise<void> = Promise.resolve();
  #stoppedAt: number | null = null;
  #dumpThread: MaintenanceThread | undefined;
  #counting: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(context: NativeContext, request: ArchiveRequest, observer: Observer) {
    this.#context = context;
    this.#request = request;
    this.#tally = new Tally(observer, context.log, context.clock);
    this.#judgeOf = compilePolicy({ ...request, nowMs: context.clock.now(), ownFolders: ownFolders(context) });
    this.#releaser = new Releaser(context, this.#tally);
    this.#known = new KnownRelease(context, this.#releaser, this.#tally);
    const { containerSize } = context.config.archive;
    this.#window = new ArchivedContainers(context, this.#releaser, this.#tally, { files: windowFiles, bytes: windowContainers * containerSize });
    this.#volumes = new Volumes(context.catalog, context.log);
    this.#queue = new FileQueue(this.#files(), containerSize);
  }

  /** What would be done. */
  async count(): Promise<Summary> {
    for await (const { batch, rows } of scan(this.#context, this.#request.paths, this.#judgeOf, this.#tally)) {
      const { known, fresh } = await sortKnown(this.#context, batch, rows, { change: false });
      for (const row of fresh) {
        this.#tally.archived += 1;
        this.#tally.bytes += batch.size[row]!;
        if (this.#tally.verbose) this.#tally.tell({ path: pathOf(batch, row), outcome: 'archived', reason: null, size: batch.size[row]! });
      }
      if (this.#request.keepData) for (const { row } of known) this.#tally.skip('archived', () => pathOf(batch, row), batch.size[row]);
      else this.#tally.released += fresh.length + known.length;
      this.#tally.progress('scan', this.#tally.archived, this.#tally.bytes);
    }
    return this.#end();
  }

  async run(): Promise<Summary> {
    const { config, filesystem, native } = this.#context;
    const packer = new native.Packer({ mountFd: filesystem.mountFd, blockSize: tapeBlockSize, objectPrefix: objectPrefix(this.#context.clock.now()), filesystem: filesystem.row.uuid });
    const folder = await mkdtemp(join(config.state, 'archive-'));
    const totals = setTimeout(() => {
      this.#counting = this.#findTotals();
    }, totalsAfter);
    try {
      const writer = new ContainerWriter(this.#context, this.#volumes, packer, this.#pace);
      const written = await outcomeOf(this.#writeAll(writer, packer, folder));
      const recorded = await outcomeOf(this.#recording);
      // Without volumes what is on tape can still be released.
      const goesOn = recorded === null && (written === null || errorCode(written) === 'NO_VOLUME');
      const finished = await outcomeOf(goesOn ? this.#finish(writer, folder) : this.#releaser.finish());
      const failure = written ?? recorded ?? finished;
      if (failure !== null) throw this.#explained(failure);
    } finally {
      this.#isOver = true;
      clearTimeout(totals);
      packer.close();
      await this.#dumpThread?.stop();
      await this.#counting;
      await rm(folder, { recursive: true, force: true });
    }
    return this.#end();
  }

  /** For the progress bar alone: a second, cheap walk tells how much there is to do. */
  async #findTotals(): Promise<void> {
    const total = await outcomeOf(this.#countWanted());
    if (total !== null) this.#context.log.warn({ error: total.message }, 'the totals are not known');
  }

  async #countWanted(): Promise<void> {
    const silent = new Tally({ progress: () => undefined }, { ...this.#context.log, warn: () => undefined }, this.#context.clock);
    let files = 0;
    let bytes = 0;
    const context = { ...this.#context, stopRequested: () => this.#isOver || this.#context.stopRequested() };
    for await (const { batch, rows } of scan(context, this.#request.paths, this.#judgeOf, silent, { threads: 1 })) {
      files += rows.length;
      for (const row of rows) bytes += batch.size[row]!;
    }
    this.#tally.totalFiles = files;
    this.#tally.totalBytes = bytes;
  }

  #end(): Summary {
    this.#tally.interrupted = this.#context.stopRequested();
    this.#tally.progress('done', this.#done.files, this.#done.bytes, { last: true });
    return this.#tally.summary;
  }

  async *#files(): AsyncGenerator<FoundFiles> {
    let found = false;
    for await (const { batch, rows } of scan(this.#context, this.#request.paths, this.#judgeOf, this.#tally, { repair: true })) {
      const { known, fresh } = await sortKnown(this.#context, batch, rows, { change: true });
      for (const file of known) {
        this.#count(1, file.file.size);
        if (this.#request.keepData) this.#tally.skip('archived', () => pathOf(batch, file.row), file.file.size);
        else await this.#known.offer(batch, file);
      }
      if (fresh.length === 0) continue;
      // A copy, for the walker's memory goes back to it.
      const files = new FileList(batch, fresh);
      yield { files, rows: Uint32Array.from(fresh.keys()) };
      found = true;
    }
    // The last files are on their way: the catalogue's copy comes next.
    if (found) this.#dumpThread = this.#context.catalog.prepareDump();
  }

  /** A file that has come to its end as far as archiving goes. */
  #count(files: number, bytes: number): void {
    this.#done.files += files;
    this.#done.bytes += bytes;
  }

  async #writeAll(writer: ContainerWriter, packer: Packer, folder: string): Promise<void> {
    const { containerSize } = this.#context.config.archive;
    const limits = { containerSize, containerFiles: filesPerContainer(containerSize) };
    const start = (): Promise<Feed | null> => Feed.start(this.#queue, packer, limits, () => this.#context.stopRequested());
    for (let feed = await start(); feed !== null; ) {
      feed = await this.#writeOne(writer, feed, folder, start);
    }
  }

  /** Resolves with the next container, of which the packer may have been working for a while. */
  async #writeOne(writer: ContainerWriter, feed: Feed, folder: string, start: () => Promise<Feed | null>): Promise<Feed | null> {
    // The next container, once the packer is free for it.
    const next: { feed: Promise<Feed | null> | null } = { feed: null };
    const skipped = new Set<number>();
    const source: BlockSource = {
      need: feed.large ? 1.01 * weightOf(feed.pushed.parts[0]!, 0) + spare : spare / 2,
      onSkipped: (row, status) => this.#onSkipped(feed, row, status, skipped),
      onProgress: (files, bytes) => this.#tally.progress('archive', this.#done.files + this.#onTheWay.files + files, this.#done.bytes + this.#onTheWay.bytes + bytes),
      onPacked: () => {
        next.feed = start();
        next.feed.catch(() => undefined);
      },
      stopNow: () => this.#stopNow(),
      drop: () => feed.cancel(),
      writeIndex: async (members) => {
        const path = join(folder, 'index.jsonl');
        await writeTruncatedIndex(path, members, feed.pushed);
        return path;
      },
    };
    let outcome: WriteOutcome;
    try {
      outcome = await writer.write(this.#request.pools, source);
    } catch (error) {
      await ((await next.feed) ?? feed).cancel();
      if (errorCode(error) !== 'EFBIG') throw error;
      if (!feed.large) throw new HsmError('NO_VOLUME', (error as Error).message, { cause: error });
      outcome = { written: null, tooLarge: true };
    }
    this.#putBack(feed, outcome, skipped);
    if (outcome.written !== null) await this.#accept(feed, outcome.written);
    if (feed.error !== null) {
      await (await next.feed)?.cancel();
      throw feed.error;
    }
    return (await next.feed) ?? (await start());
  }

  #onSkipped(feed: Feed, row: number, status: number, skipped: Set<number>): void {
    // A further name of a file that is in this container: it shares that one's end.
    if (status === packStatus.hardlink) return;
    skipped.add(row);
    const { part, row: at } = feed.pushed.locate(row);
    this.#count(1, part.size[at]!);
    packSkips(this.#tally, status, () => pathOf(part, at), part.size[at]!);
  }

  #stopNow(): boolean {
    if (!this.#context.stopRequested()) return false;
    this.#stoppedAt ??= this.#context.clock.now();
    return this.#context.clock.now() - this.#stoppedAt > patience;
  }

  /** Files that are neither on tape nor skipped wait for the next container; one that fits nowhere fails. */
  #putBack(feed: Feed, { written, tooLarge }: WriteOutcome, skipped: ReadonlySet<number>): void {
    if (written !== null && !written.truncated) return;
    let isTooLarge = tooLarge;
    for (const { files, rows } of leftOver(feed.pushed, written?.members ?? null, skipped)) {
      if (isTooLarge && rows.length > 0) this.#tally.fail('EFBIG', pathOf(files, rows[0]!), files.size[rows[0]!]);
      this.#queue.putBack(files, isTooLarge ? rows.subarray(1) : rows);
      isTooLarge &&= rows.length === 0;
    }
  }

  /** The catalogue takes the container in while the next ones are written; two may wait, so that a slow commit stops no tape. */
  async #accept(feed: Feed, written: WrittenContainer): Promise<void> {
    await this.#recordingBefore;
    written.containers.forEach(({ volume }, i) => this.#used.set(volume, this.#request.pools[i]!));
    this.#onTheWay.files += written.members.count;
    this.#onTheWay.bytes += written.bytes;
    this.#recordingBefore = this.#recording;
    this.#recording = this.#recording.then(() => this.#record(feed, written));
    this.#recording.catch(() => undefined);
  }

  async #record(feed: Feed, { containers, members, bytes, full }: WrittenContainer): Promise<void> {
    const archived = members.archived(this.#context.filesystem.row.id, feed.pushed);
    const ids = containers.map(({ id }) => id);
    for (let from = 0; from < archived.count; from += rowsATurn) {
      await this.#pace.turn();
      await this.#context.catalog.addArchived(ids, rowsOf(archived, from, Math.min(archived.count, from + rowsATurn)));
    }
    const before = this.#tally.bytes;
    this.#tally.archived += archived.count;
    for (const size of archived.size) this.#tally.bytes += size;
    this.#count(archived.count, this.#tally.bytes - before);
    this.#onTheWay.files -= archived.count;
    this.#onTheWay.bytes -= bytes;
    if (this.#tally.verbose) {
      for (let row = 0; row < archived.count; row += 1) this.#tally.tell({ path: pathOf(archived, row), outcome: 'archived', reason: null, size: archived.size[row]! });
    }
    if (this.#request.keepData) return;
    this.#window.add({ containers, members: archived, nlink: members.nlink.subarray(0, members.count), bytes });
    if ((this.#window.due || full) && !this.#context.stopRequested()) await this.#window.verifyAndRelease();
  }

  async #finish(writer: ContainerWriter, folder: string): Promise<void> {
    if (!this.#request.keepData && !this.#context.stopRequested()) {
      await this.#window.verifyAndRelease();
      await this.#known.finish(this.#request.paths, this.#judgeOf);
    }
    await this.#releaser.finish();
    if (this.#used.size > 0 && !this.#context.stopRequested()) await appendCatalogue(this.#context, writer, this.#used, folder, this.#dumpThread);
  }

  #explained(failure: Error): Error {
    const { archived } = this.#tally;
    if (!(failure instanceof HsmError) || archived === 0) return failure;
    const message = `${failure.message} (${archived} files were archived before; run it again to go on)`;
    return new HsmError(failure.code, message, { retry: failure.retry, exit: exitCodes.partial, cause: failure });
  }
}

const outcomeOf = (work: Promise<unknown>): Promise<Error | null> =>
  work.then(
    () => null,
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  );

/** Milliseconds since 1970 in 48 bits, 16 random bits: ids ascend from run to run. */
function objectPrefix(nowMs: number): Buffer {
  const prefix = Buffer.alloc(8);
  prefix.writeUIntBE(Math.floor(nowMs), 0, 6);
  randomBytes(2).copy(prefix, 6);
  return prefix;
}
