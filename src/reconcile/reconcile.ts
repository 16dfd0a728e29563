/** `hsm reconcile`: compares a filesystem with the catalogue, and puts right what can be. Nothing on tape is touched. */
import { closeSync, constants } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { pathOf } from '../archiver/file-list.ts';
import { trustedCopies } from '../archiver/known-files.ts';
import type { Catalog, FileName, FileRow } from '../catalog/model.ts';
import type { Progress, ReconcileLine } from '../daemon/protocol.ts';
import { errorCode } from '../errors.ts';
import { native, type WalkBatch } from '../native/index.ts';
import { readInode } from '../recall/classify.ts';
import { findLostRecord } from '../recall/lost-record.ts';
import { encodeStubRecord, stubXattr, type StubRecord } from '../stub.ts';
import { judge, type Finding } from './inode.ts';

export interface ReconcileFilesystem {
  /** Row id. */
  readonly id: number;
  readonly path: string;
  /** Directory fd inside the private mount. */
  readonly mountFd: number;
  readonly locks: { tryLock(ino: number): (() => void) | null };
}

export interface ReconcileContext {
  readonly catalog: Pick<
    Catalog,
    'filesBehind' | 'filesByInode' | 'pathsOf' | 'renameFiles' | 'dropFiles' | 'moveFiles' | 'ownerOf' | 'object' | 'adoptStubs'
  >;
  readonly filesystem: ReconcileFilesystem;
  stopRequested(): boolean;
}

export interface ReconcileRequest {
  /** Stubs of other inodes, and ones that the catalogue does not have, become files of the catalogue. */
  readonly adopt: boolean;
  readonly dryRun: boolean;
}

/** Paths are relative to the filesystem's root. */
export type Found = Pick<ReconcileLine, 'finding' | 'action' | 'done' | 'reason'> & { readonly path: Buffer; readonly from: Buffer | null; readonly object: Buffer | null };

export interface ReconcileObserver {
  progress(progress: Progress): void;
  found(found: Found): void;
}

/** Resolves with how many files were looked at. What fails for one file is told; errors of the catalogue are thrown. */
export async function reconcile(context: ReconcileContext, request: ReconcileRequest, observer: ReconcileObserver): Promise<number> {
  const run = new Reconciliation(context, request, observer);
  await run.run();
  return run.files;
}

const pageRows = 1000;
const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOATIME } = constants;

interface StubToAdopt {
  readonly path: Buffer;
  readonly ino: number;
  readonly finding: Finding & { readonly record: StubRecord };
}

class Reconciliation {
  files = 0;
  readonly #context: ReconcileContext;
  readonly #request: ReconcileRequest;
  readonly #observer: ReconcileObserver;
  /** Rows whose file is not where the catalogue has it. */
  readonly #astray = new Map<number, FileRow>();
  readonly #toAdopt: StubToAdopt[] = [];
  readonly #renamed: (FileName & { readonly object: Buffer })[] = [];
  #complete = true;

  constructor(context: ReconcileContext, request: ReconcileRequest, observer: ReconcileObserver) {
    this.#context = context;
    this.#request = request;
    this.#observer = observer;
  }

  async run(): Promise<void> {
    await this.#findAstray();
    await this.#eachBatch('all', (batch) => this.#look(batch));
    // A file that was moved while the walk went on may have been missed by it.
    if (this.#astray.size > 0) await this.#eachBatch('none', (batch) => this.#findMoved(batch));
    if (this.#context.stopRequested()) return;
    await this.#forgetGone();
    for (const stub of this.#toAdopt) await this.#adopt(stub);
  }

  async #findAstray(): Promise<void> {
    const { catalog, filesystem } = this.#context;
    for (let ino = -1; !this.#context.stopRequested(); ) {
      const page = await catalog.filesBehind(filesystem.id, ino, pageRows);
      const paths = await catalog.pathsOf(filesystem.id, page.map((row) => row.ino));
      for (const [i, row] of page.entries()) if (!this.#isAt(row, paths[i])) this.#astray.set(row.ino, row);
      if (page.length < pageRows) return;
      ino = page.at(-1)!.ino;
      await turn();
    }
  }

  #isAt(row: FileRow, path: Buffer | undefined): boolean {
    const { mountFd } = this.#context.filesystem;
    try {
      return path !== undefined && native.statx(mountFd, path).ino === row.ino && native.handleHash(native.fileHandle(mountFd, path)) === row.handleHash;
    } catch {
      return false;
    }
  }

  async #eachBatch(records: 'all' | 'none', use: (batch: WalkBatch) => Promise<void>): Promise<void> {
    const walker = native.walk(this.#context.filesystem.mountFd, [Buffer.alloc(0)], { threads: 2, records });
    try {
      for (let batch = await walker.next(); batch !== null && !this.#context.stopRequested(); batch = await walker.next()) {
        this.#complete &&= batch.errors.length === 0;
        await use(batch);
        walker.release(batch);
      }
    } finally {
      walker.close();
    }
  }

  async #look(batch: WalkBatch): Promise<void> {
    const { catalog, filesystem } = this.#context;
    const rows = await catalog.filesByInode(filesystem.id, Array.from(batch.ino.subarray(0, batch.count)));
    for (let i = 0; i < batch.count; i += 1) {
      const row = rows[i];
      if (row === undefined && batch.hasRecord[i] === 0) continue;
      const path = pathOf(batch, i);
      if (row !== undefined && this.#astray.has(row.ino)) this.#noteName(row, path);
      await this.#lookAt(path, batch.ino[i]!, row);
    }
    await this.#rename();
    this.files += batch.count;
    this.#observer.progress({ phase: 'reconcile', files: this.files, bytes: 0, totalFiles: null, totalBytes: null, note: filesystem.path });
  }

  async #findMoved(batch: WalkBatch): Promise<void> {
    for (let i = 0; i < batch.count; i += 1) {
      const row = this.#astray.get(batch.ino[i]!);
      if (row !== undefined) this.#noteName(row, pathOf(batch, i));
    }
    await this.#rename();
  }

  /** The first name under which an inode is met is as good as any other. Another inode of the number is another file. */
  #noteName(row: FileRow, path: Buffer): void {
    if (!this.#isAt(row, path)) return;
    this.#astray.delete(row.ino);
    this.#renamed.push({ ino: row.ino, path, object: row.object });
  }

  async #rename(): Promise<void> {
    const { catalog, filesystem } = this.#context;
    const renamed = this.#renamed.splice(0);
    const from = await catalog.pathsOf(filesystem.id, renamed.map(({ ino }) => ino));
    const told = renamed.map(({ path, object }, i) => ({ path, finding: 'renamed', action: 'rename', from: from[i] ?? null, object }) as const);
    await this.#tell(told, () => catalog.renameFiles(filesystem.id, renamed));
  }

  async #lookAt(path: Buffer, ino: number, row: FileRow | undefined): Promise<void> {
    const found = await this.#withFile(path, ino, async (fd) => judge({ ...readInode(fd) }, row)).catch((error: unknown) => this.#vanished(error));
    if (found === null || found === undefined) return;
    const object = found.record?.object ?? row?.object ?? null;
    const told = { path, finding: found.finding, action: found.action, from: null, object };
    if (found.action === 'adopt' && found.record !== null) {
      if (this.#request.adopt) this.#toAdopt.push({ path, ino, finding: { ...found, record: found.record } });
      else this.#observer.found({ ...told, done: false, reason: 'only with --adopt' });
    } else if (found.action === null) {
      this.#observer.found({ ...told, done: false, reason: 'no object fits it: bring it back from a backup' });
    } else {
      await this.#tell([told], () => this.#withFile(path, ino, (fd) => this.#act(fd, found, row)));
    }
  }

  /** Under the inode's lock, after one more look. */
  async #act(fd: number, { action, finding }: Finding, row: FileRow | undefined): Promise<void> {
    const { catalog, filesystem } = this.#context;
    const [now] = row === undefined ? [] : await catalog.filesByInode(filesystem.id, [row.ino]);
    if (judge(readInode(fd), now)?.finding !== finding) throw new Error('it changed meanwhile');
    if (action === 'drop-record') native.removexattr(fd, stubXattr);
    else if (action === 'write-record') await findLostRecord(fd, filesystem.id, catalog);
    else if (action === 'resident' && now !== undefined) {
      if (now.state === 'stub' || now.state === 'archived' || now.state === 'recalling') await catalog.moveFiles(filesystem.id, [{ ino: now.ino, to: 'resident' }]);
    }
  }

  async #forgetGone(): Promise<void> {
    const { catalog, filesystem } = this.#context;
    const gone = [...this.#astray.values()];
    const paths = await catalog.pathsOf(filesystem.id, gone.map(({ ino }) => ino));
    const told = gone.map(({ object }, i) => ({ path: paths[i] ?? Buffer.alloc(0), finding: 'gone', action: 'forget', from: null, object }) as const);
    if (!this.#complete) for (const each of told) this.#observer.found({ ...each, done: false, reason: 'not all directories could be read: it may be there' });
    else await this.#tell(told, () => catalog.dropFiles(filesystem.id, gone.map(({ ino }) => ino)));
  }

  /** A hollow file becomes the catalogue's file of the object, unless another file that is there is that already. */
  async #adopt({ path, ino, finding }: StubToAdopt): Promise<void> {
    const { catalog, filesystem } = this.#context;
    const { record } = finding;
    await this.#tell([{ path, finding: finding.finding, action: 'adopt', from: null, object: record.object }], () =>
      this.#withFile(path, ino, async (fd) => {
        const object = await catalog.object(record.object);
        const copy = trustedCopies(object)[0] ?? object?.copies[0];
        if (object === undefined || copy === undefined) throw new Error('the catalogue does not know its object');
        await this.#requireFree(record.object, ino);
        const inode = readInode(fd);
        if (inode.range.data !== -1 || inode.stat.size !== object.size) throw new Error('it is not as its object is');
        native.setxattr(fd, stubXattr, encodeStubRecord({ ...record, volume: copy.volume, container: copy.container, offset: copy.offset, handleHash: inode.handleHash }));
        await native.syncfs(filesystem.mountFd);
        await catalog.adoptStubs(filesystem.id, [{ object: record.object, ino, handleHash: inode.handleHash, ctimeNs: native.statx(fd, '').ctimeNs, path }]);
      }),
    );
  }

  async #requireFree(object: Buffer, ino: number): Promise<void> {
    const { catalog, filesystem } = this.#context;
    const owner = await catalog.ownerOf(object);
    if (owner === undefined || (owner.filesystem === filesystem.id && owner.ino === ino)) return;
    if (owner.filesystem !== filesystem.id) throw new Error('a file of another filesystem has its object: see hsm restore-tree');
    const [path] = await catalog.pathsOf(owner.filesystem, [owner.ino]);
    throw new Error(`${filesystem.path}/${path?.toString() ?? ''} has its object: recall that one and copy it`);
  }

  /** Does it, unless this is a dry run, and tells. */
  async #tell(found: readonly Omit<Found, 'done' | 'reason'>[], action: () => Promise<unknown>): Promise<void> {
    if (found.length === 0) return;
    let reason: string | null = null;
    if (!this.#request.dryRun) {
      try {
        await action();
      } catch (error) {
        if (errorCode(error).startsWith('CATALOG') || errorCode(error) === 'CLOSED') throw error;
        reason = (error as Error).message;
      }
    }
    for (const each of found) this.#observer.found({ ...each, done: !this.#request.dryRun && reason === null, reason });
  }

  /** Under the lock of the inode, if it is still that one. */
  async #withFile<T>(path: Buffer, ino: number, use: (fd: number) => Promise<T>): Promise<T> {
    const { mountFd, locks } = this.#context.filesystem;
    const unlock = locks.tryLock(ino);
    if (unlock === null) throw new Error('it is being recalled or released');
    let fd: number | null = null;
    try {
      fd = native.openBeneath(mountFd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME);
      if (native.statx(fd, '').ino !== ino) throw new Error('another file has its name now');
      return await use(fd);
    } finally {
      if (fd !== null) closeSync(fd);
      unlock();
    }
  }

  /** What cannot be looked at now is for the next run. */
  #vanished(error: unknown): null {
    if (errorCode(error).startsWith('CATALOG') || errorCode(error) === 'CLOSED') throw error;
    return null;
  }
}
