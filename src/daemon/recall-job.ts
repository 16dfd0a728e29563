/** `hsm recall PATH...`: finds the stubs below the paths and hands them to the recall engine, in windows that keep memory bounded. */
import type { Recaller } from '../recall/recaller.ts';
import type { Wanted } from '../recall/recaller-options.ts';
import type { ManagedFilesystem } from '../recall/restorer.ts';
import { native, type WalkBatch } from '../native/index.ts';
import { pathKeys, type ManagedPath } from './managed-paths.ts';
import type { FileRowLine, Summary } from './protocol.ts';
import type { JobRun } from './jobs.ts';

/** Stubs under way at a time. The walk's order is the order in which they were archived, so a window is near tape order already. */
const window = 65_536;

export interface RecallJobOptions {
  readonly filesystems: readonly ManagedFilesystem[];
  readonly recaller: Pick<Recaller, 'want' | 'dropJob'>;
  readonly paths: readonly ManagedPath[];
  readonly verbose: boolean;
}

export async function runRecallJob(options: RecallJobOptions, run: JobRun): Promise<Summary> {
  const tally = new Tally(options, run);
  const onAbort = (): void => options.recaller.dropJob(run.id);
  run.signal.addEventListener('abort', onAbort, { once: true });
  try {
    for (const path of options.paths) await walkPath(path, options, run, tally);
    await tally.settled(0);
  } finally {
    run.signal.removeEventListener('abort', onAbort);
  }
  return tally.summary();
}

async function walkPath(path: ManagedPath, { filesystems, recaller }: RecallJobOptions, run: JobRun, tally: Tally): Promise<void> {
  const filesystem = filesystems[path.filesystem];
  if (filesystem === undefined) return;
  const walker = native.walk(filesystem.mountFd, [path.rel], { threads: 2, records: 'all' });
  try {
    for (let batch = await walker.next(); batch !== null && !run.signal.aborted; batch = await walker.next()) {
      tally.unreadable(batch.errors.length);
      await recaller.want(wantedOf(batch, path.filesystem, filesystem, run.id, tally));
      await tally.settled(window);
    }
  } finally {
    walker.close();
  }
}

function wantedOf(batch: WalkBatch, index: number, filesystem: ManagedFilesystem, job: number, tally: Tally): Wanted[] {
  const wanted: Wanted[] = [];
  for (let row = 0; row < batch.count; row += 1) {
    if (batch.hasRecord[row] !== 1) {
      tally.skip('resident');
      continue;
    }
    const directory = batch.dirs[batch.dir[row] ?? 0] ?? Buffer.alloc(0);
    const name = batch.names.subarray(row === 0 ? 0 : batch.nameEnd[row - 1], batch.nameEnd[row]);
    const relPath = directory.length === 0 ? Buffer.from(name) : Buffer.concat([directory, slash, name]);
    const keys = pathKeys(filesystem.path, relPath);
    wanted.push({
      filesystem: index,
      ino: batch.ino[row] ?? 0,
      bytes: Buffer.from(batch.records.subarray(64 * row, 64 * row + 64)),
      path: keys.path,
      interest: { job, relPath, ended: tally.started(keys) },
      ahead: null,
    });
  }
  return wanted;
}

type PathKeys = ReturnType<typeof pathKeys>;

const slash = Buffer.from('/');

class Tally {
  readonly #options: RecallJobOptions;
  readonly #run: JobRun;
  readonly #skipped: Record<string, number> = {};
  #underWay = 0;
  #recalled = 0;
  #bytes = 0;
  #failed = 0;
  #asked = 0;
  #wake: (() => void) | null = null;
  #room = 0;
  #toldAt = 0;

  constructor(options: RecallJobOptions, run: JobRun) {
    this.#options = options;
    this.#run = run;
  }

  skip(reason: string): void {
    this.#skipped[reason] = (this.#skipped[reason] ?? 0) + 1;
  }

  unreadable(count: number): void {
    this.#failed += count;
  }

  /** Counts a file in; the function that it returns counts it out. */
  started(keys: PathKeys): Wanted['interest']['ended'] {
    this.#underWay += 1;
    this.#asked += 1;
    return (failure, bytes) => {
      this.#underWay -= 1;
      if (failure === null) {
        this.#recalled += 1;
        this.#bytes += bytes;
      } else if (failure.code === 'EINTR' || this.#run.signal.aborted) this.skip('cancelled');
      else this.#failed += 1;
      this.#tell(keys, failure, bytes);
      if (this.#underWay <= this.#room) this.#wake?.();
    };
  }

  /** Resolves when at most `count` files are under way. */
  async settled(count: number): Promise<void> {
    if (this.#underWay <= count) return;
    this.#room = count === 0 ? 0 : count >> 1;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = null;
  }

  summary(): Summary {
    return {
      summary: true,
      archived: 0,
      released: 0,
      recalled: this.#recalled,
      bytes: this.#bytes,
      skipped: this.#skipped,
      failed: this.#failed,
      ...(this.#run.signal.aborted ? { interrupted: true } : {}),
    };
  }

  #tell(keys: PathKeys, failure: { readonly code: string; readonly message: string } | null, size: number): void {
    if (this.#options.verbose || failure !== null) {
      const line: FileRowLine = failure === null ? { ...keys, result: 'recalled', size } : { ...keys, result: 'failed', reason: failure.message };
      void this.#run.row(line);
    }
    const now = Date.now();
    if (now - this.#toldAt < 200 && this.#underWay > 0) return;
    this.#toldAt = now;
    this.#run.progress({ phase: 'recalling', files: this.#recalled, bytes: this.#bytes, totalFiles: this.#asked, totalBytes: null });
  }
}
