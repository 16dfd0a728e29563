/** `hsm restore-tree`: the files of a filesystem that is lost, as stubs on another one. Their headers on tape say what they were. */
import { membersOf } from '../archiver/catalog-members.ts';
import type { Catalog, ContainerRow } from '../catalog/model.ts';
import type { Progress } from '../daemon/protocol.ts';
import { HsmError } from '../errors.ts';
import type { DrivePool } from '../library/drive-pool.ts';
import { checkVolumeLabel, walkHeaders } from '../media/containers.ts';
import { parseMetadata, type MemberMetadata } from '../media/member-metadata.ts';
import type { Member } from '../media/member-walk.ts';
import type { Medium } from '../media/medium.ts';
import { TreeMaker, type MadeOutcome, type MadeTarget, type PlannedLink, type PlannedStub } from './tree-maker.ts';

export interface RestoreTreeRequest {
  /** Row id of the filesystem that is lost. */
  readonly from: number;
  /** Only what is at or below these, relative to its root; none: everything. */
  readonly paths: readonly Buffer[];
}

export interface RestoreTreeContext {
  readonly catalog: Pick<Catalog, 'volumes' | 'containers' | 'objectsOnVolume' | 'objects' | 'adoptStubs' | 'filesByInode' | 'supersededFiles' | 'dropFiles' | 'countStates' | 'filesInState' | 'pathOf'>;
  readonly drives: Pick<DrivePool, 'withVolume'>;
  /** The guarded filesystem that they go to. */
  readonly target: MadeTarget;
  stopRequested(): boolean;
}

export interface RestoredFile {
  readonly path: Buffer;
  readonly result: MadeOutcome;
  readonly reason: string | null;
  readonly size: number | null;
}

export interface RestoreTreeObserver {
  progress(progress: Progress): void;
  file(file: RestoredFile): void;
  /** A volume that could not be read, or not to its end. */
  volume(barcode: string, reason: string): void;
}

export interface RestoreTreeSummary {
  readonly summary: true;
  /** Stubs that were made, incomplete ones too. */
  readonly restored: number;
  readonly links: number;
  readonly directories: number;
  /** Sizes of the files together. */
  readonly bytes: number;
  readonly skipped: Readonly<Record<string, number>>;
  /** An attribute could not be set. */
  readonly incomplete: number;
  /** Files that could not be made, or are on no volume that could be read. */
  readonly failed: number;
  readonly interrupted?: true;
}

/** Stubs that share two flushes of the filesystem and a transaction. */
const batchStubs = 512;
/** Files of the lost filesystem that are left at the end, as many as are named. */
const namedAtMost = 10_000;

/**
 * Every present version of the filesystem's files, a volume after the other and in tape order. What a run before did is not done again; a
 * file's second copy is used where the first cannot be read. Damage of volumes is told about; errors of the catalogue are thrown.
 */
export async function restoreTree(context: RestoreTreeContext, request: RestoreTreeRequest, observer: RestoreTreeObserver): Promise<RestoreTreeSummary> {
  const run = new RestoreTree(context, request, observer);
  await run.run();
  return run.summary;
}

interface Wanted {
  readonly object: Buffer;
  readonly size: number;
  readonly path: Buffer;
}

/** Of a container, by offset. */
interface WantedMembers {
  readonly files: Map<number, Wanted>;
  /** Where files are that a run before restored. */
  readonly before: Map<number, Buffer>;
}

class RestoreTree {
  readonly #context: RestoreTreeContext;
  readonly #request: RestoreTreeRequest;
  readonly #observer: RestoreTreeObserver;
  readonly #maker: TreeMaker;
  /** Objects that need no other copy, though they are not restored: their name is taken, or they failed for a reason of the filesystem. */
  readonly #given = new Set<string>();
  readonly #furtherNames: PlannedLink[] = [];
  #restored = 0;
  #links = 0;
  #bytes = 0;
  #exists = 0;
  #incomplete = 0;
  #failed = 0;
  #total = 0;

  constructor(context: RestoreTreeContext, request: RestoreTreeRequest, observer: RestoreTreeObserver) {
    this.#context = context;
    this.#request = request;
    this.#observer = observer;
    this.#maker = new TreeMaker(context.target, context.catalog, {
      stub: (stub, outcome, reason) => this.#made(stub, outcome, reason),
      link: (link, outcome, reason) => this.#linked(link, outcome, reason),
    });
  }

  get summary(): RestoreTreeSummary {
    return {
      summary: true,
      restored: this.#restored,
      links: this.#links,
      directories: this.#maker.directories,
      bytes: this.#bytes,
      skipped: this.#exists === 0 ? {} : { exists: this.#exists },
      incomplete: this.#incomplete,
      failed: this.#failed,
      ...(this.#context.stopRequested() ? { interrupted: true } : {}),
    };
  }

  async run(): Promise<void> {
    const { catalog } = this.#context;
    await catalog.dropFiles(this.#request.from, await catalog.supersededFiles(this.#request.from));
    const { archived, stub, recalling, resident, archiving } = await catalog.countStates(this.#request.from);
    this.#total = archived + stub + recalling + resident + archiving;
    for (const { barcode, state, objects } of await catalog.volumes()) {
      if (objects === 0 || state === 'failed' || state === 'exported') continue;
      await this.#volume(barcode);
    }
    if (this.#context.stopRequested()) return;
    // Last, so that no old name of a file takes the place of a newer file.
    for (let from = 0; from < this.#furtherNames.length; from += batchStubs) await this.#maker.link(this.#furtherNames.slice(from, from + batchStubs));
    await this.#tellRest();
  }

  async #volume(barcode: string): Promise<void> {
    for (const container of await this.#context.catalog.containers(barcode)) {
      if (this.#context.stopRequested()) return;
      if (container.state !== 'closed' && container.state !== 'truncated') continue;
      const wanted = await this.#wanted(container);
      if (wanted.files.size === 0) continue;
      try {
        // One lease a container: a recall that waits for the drive gets it in between.
        await this.#context.drives.withVolume(barcode, 'read', 'bulk', (medium) => this.#container(medium, container, wanted));
      } catch (error) {
        if (!(error instanceof HsmError) || error.code === 'ECANCELED' || error.code === 'NO_DRIVE' || error.code.startsWith('CATALOG')) throw error;
        this.#observer.volume(barcode, `container ${container.number}: ${error.message}`);
        // What cannot be loaded will not be loaded for the next container either.
        if (error.code !== 'EIO') return;
      }
    }
  }

  async #wanted({ volume, number }: ContainerRow): Promise<WantedMembers> {
    const members = await membersOf(this.#context.catalog, volume, number);
    const wanted: WantedMembers = { files: new Map(), before: new Map() };
    for (let row = 0; row < members.count; row += 1) {
      const path = members.paths[row];
      if (path == null) continue;
      if (members.filesystems[row] === this.#context.target.id) wanted.before.set(members.offset[row]!, path);
      if (members.filesystems[row] !== this.#request.from || !this.#isAsked(path)) continue;
      const object = Buffer.from(members.objectIds.subarray(row * 16, row * 16 + 16));
      if (!this.#given.has(object.toString('latin1'))) wanted.files.set(members.offset[row]!, { object, size: members.size[row]!, path });
    }
    return wanted;
  }

  #isAsked(path: Buffer): boolean {
    const { paths } = this.#request;
    return paths.length === 0 || paths.some((each) => each.length === 0 || (path.subarray(0, each.length).equals(each) && (path.length === each.length || path[each.length] === 0x2f)));
  }

  async #container(medium: Medium, container: ContainerRow, wanted: WantedMembers): Promise<void> {
    await checkVolumeLabel(medium);
    let stubs: PlannedStub[] = [];
    /** Names that members had when they were archived, and what they are called now. */
    const names = new Map<string, Buffer>();
    const flush = async (): Promise<void> => {
      const batch = stubs;
      stubs = [];
      if (batch.length > 0) await this.#maker.make(batch);
      this.#tellProgress(container.volume);
    };
    const take = (member: Member, header: Buffer): void => {
      const name = member.name.toString('latin1');
      const file = wanted.files.get(member.offset);
      const path = file?.path ?? wanted.before.get(member.offset);
      const target = names.get(member.link.toString('latin1'));
      if (member.type === '1' && target !== undefined && member.object !== null && this.#isAsked(member.name)) {
        this.#furtherNames.push({ path: Buffer.from(member.name), target, object: member.object });
      }
      if (member.type === '0' && path !== undefined) names.set(name, path);
      if (file === undefined || member.object?.equals(file.object) !== true || member.size !== file.size) return;
      const { volume, number } = container;
      const metadata = metadataOf(header);
      if (metadata !== null) stubs.push({ ...file, metadata, mtimeNs: member.mtimeNs, volume, container: number, offset: member.offset });
    };
    const walk = walkHeaders(
      medium,
      container.startBlock,
      0,
      (member, header) => {
        // Another copy may have what this one has not.
        if (member.intact) take(member, header);
      },
      async () => {
        if (stubs.length >= batchStubs) await flush();
      },
    );
    await walk.finally(flush);
  }

  #made(stub: PlannedStub, outcome: MadeOutcome, reason: string | null): void {
    if (outcome === 'restored' || outcome === 'incomplete') {
      this.#restored += 1;
      this.#bytes += stub.size;
      if (outcome === 'incomplete') this.#incomplete += 1;
    } else {
      this.#given.add(stub.object.toString('latin1'));
      if (outcome === 'exists') this.#exists += 1;
      else this.#failed += 1;
    }
    this.#observer.file({ path: stub.path, result: outcome, reason: outcome === 'exists' ? 'exists' : reason, size: stub.size });
  }

  #linked(link: PlannedLink, outcome: Exclude<MadeOutcome, 'incomplete'>, reason: string | null): void {
    if (outcome === 'restored') this.#links += 1;
    else if (outcome === 'exists') this.#exists += 1;
    else this.#failed += 1;
    this.#observer.file({ path: link.path, result: outcome, reason: outcome === 'exists' ? 'exists' : reason, size: null });
  }

  #tellProgress(barcode: string): void {
    this.#observer.progress({ phase: 'making stubs', files: this.#restored, bytes: this.#bytes, totalFiles: this.#request.paths.length === 0 ? this.#total : null, totalBytes: null, note: barcode });
  }

  /** Files whose row is still the lost filesystem's, and that were not told about. */
  async #tellRest(): Promise<void> {
    const { catalog } = this.#context;
    const { from } = this.#request;
    let named = 0;
    for (const state of ['archived', 'stub', 'recalling', 'resident'] as const) {
      for (const { ino, object } of await catalog.filesInState(from, state, namedAtMost)) {
        if (this.#given.has(object.toString('latin1'))) continue;
        const path = await catalog.pathOf(from, ino);
        if (path === undefined || !this.#isAsked(path)) continue;
        named += 1;
        this.#observer.file({ path, result: 'failed', reason: 'no volume that could be read has it', size: null });
      }
    }
    const left = await catalog.countStates(from);
    const all = left.archived + left.stub + left.recalling + left.resident - this.#given.size;
    this.#failed += this.#request.paths.length === 0 ? all : named;
  }
}

/** Null where the header is not what hsm writes: another copy, or nothing. */
function metadataOf(header: Buffer): MemberMetadata | null {
  try {
    return parseMetadata(header);
  } catch {
    return null;
  }
}
