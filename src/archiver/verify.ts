/** One run of `hsm verify`: what is on tape is read back, in tape order, and compared with the catalogue's hashes. */
import type { ContainerRow, CopyRow, ObjectRow } from '../catalog/model.ts';
import type { Progress } from '../daemon/protocol.ts';
import { HsmError } from '../errors.ts';
import type { MemberColumns } from '../media/containers.ts';
import { withRate } from '../media/decorators/with-rate.ts';
import type { WalkBatch } from '../native/index.ts';
import { membersOf, type CatalogMembers } from './catalog-members.ts';
import { withNative, type ArchiverContext, type NativeContext } from './context.ts';
import { pathOf } from './file-list.ts';
import type { Judge } from './policy.ts';
import { repairCopies, type DamagedCopy } from './repair.ts';
import { scan } from './scan.ts';
import { Tally } from './tally.ts';
import { chooseContainers, type VerifyChoice } from './verify-choice.ts';
import { verifyContainers, type ContainerToVerify, type Damage, type VerifyResult } from './verify-containers.ts';

export interface VerifyRequest {
  /** Barcodes: everything that is on these volumes, or what `choice` takes of it. */
  readonly tapes?: readonly string[];
  readonly choice?: VerifyChoice;
  /** Bytes a second that are read at most; null: as fast as it goes. */
  readonly rate?: number | null;
  /** Replace damaged copies of volumes that are named. Old versions that ended at or before this time, ms since the epoch, need none. */
  readonly repair?: { readonly endedBefore: number };
  /** Relative to the filesystem's root: every copy of the files below. */
  readonly paths?: readonly Buffer[];
}

export interface DamagedObject {
  readonly volume: string;
  readonly container: number;
  /** Null: the container's index, or all of the volume from this container on. */
  readonly offset: number | null;
  readonly object: Buffer | null;
  /** Id of the filesystem of `path`. */
  readonly filesystem: number | null;
  /** Relative to the filesystem's root; null when no file needs it any more. */
  readonly path: Buffer | null;
  readonly reason: string;
}

export interface VerifyObserver {
  progress(progress: Progress): void;
  damaged(object: DamagedObject): void;
  /** One that was told of as damaged has a good copy on another volume now. */
  repaired(object: DamagedObject): void;
}

export interface VerifySummary {
  /** Copies that were read. */
  readonly checked: number;
  readonly damaged: number;
  /** Of the damaged. */
  readonly repaired: number;
  readonly interrupted?: boolean;
}

/** Volumes with damage become suspect. Fails with `NO_VOLUME` for a tape that is not in the catalogue, `NO_DRIVE` and errors of the catalogue. */
export async function runVerify(given: ArchiverContext, request: VerifyRequest, observer: VerifyObserver): Promise<VerifySummary> {
  const run = new VerifyRun(withNative(atRate(given, request.rate ?? null)), observer);
  if (request.tapes !== undefined) await run.tapes(request.tapes, request.choice ?? everything, request.repair ?? null);
  if (request.paths !== undefined && request.paths.length > 0) await run.paths(request.paths);
  return run.summary;
}

const everything: VerifyChoice = { notSince: null, sample: null };

function atRate(context: ArchiverContext, rate: number | null): ArchiverContext {
  if (rate === null) return context;
  const { drives } = context;
  return {
    ...context,
    drives: {
      up: drives.up,
      withVolume: (barcode, purpose, priority, use, options) =>
        drives.withVolume(barcode, purpose, priority, (medium, drive) => use(purpose === 'read' ? withRate(medium, rate) : medium, drive), options),
      withVolumes: (...words) => drives.withVolumes(...words),
    },
  };
}

/** Copies that are collected before they are read: more would cost memory, fewer tape movement. */
const copiesAtOnce = 100_000;

class VerifyRun {
  readonly #context: NativeContext;
  readonly #observer: VerifyObserver;
  #checked = 0;
  #bytes = 0;
  #damaged = 0;
  #repaired = 0;
  /** Of the volume at hand. */
  #toRepair: DamagedObject[] = [];

  constructor(context: NativeContext, observer: VerifyObserver) {
    this.#context = context;
    this.#observer = observer;
  }

  get summary(): VerifySummary {
    return { checked: this.#checked, damaged: this.#damaged, repaired: this.#repaired, ...(this.#context.stopRequested() ? { interrupted: true } : {}) };
  }

  /** One volume after the other, each in tape order. */
  async tapes(barcodes: readonly string[], choice: VerifyChoice, repair: VerifyRequest['repair'] | null): Promise<void> {
    const { catalog } = this.#context;
    const all: ContainerRow[] = [];
    for (const barcode of barcodes) {
      if ((await catalog.volume(barcode)) === undefined) throw new HsmError('NO_VOLUME', `no volume is named ${barcode}: see hsm tape ls`);
      all.push(...(await catalog.containers(barcode)));
    }
    for (const [barcode, containers] of Map.groupBy(chooseContainers(all, choice), ({ volume }) => volume)) {
      if (this.#context.stopRequested()) return;
      this.#toRepair = [];
      await this.#verify(containers.map((container) => ({ container, members: () => membersOf(catalog, barcode, container.number) })));
      if (repair != null) await this.#repair(barcode, new Map(containers.map((container) => [container.number, container])), repair.endedBefore);
    }
  }

  async #repair(barcode: string, containers: ReadonlyMap<number, ContainerRow>, endedBefore: number): Promise<void> {
    const damaged = new Map<DamagedCopy, DamagedObject>();
    for (const told of this.#toRepair) {
      const container = containers.get(told.container);
      if (container !== undefined && told.offset !== null) damaged.set({ container, offset: told.offset }, told);
    }
    for (const copy of await repairCopies(this.#context, barcode, [...damaged.keys()], endedBefore)) {
      this.#repaired += 1;
      this.#observer.repaired(damaged.get(copy)!);
    }
  }

  async paths(paths: readonly Buffer[]): Promise<void> {
    const tally = new Tally({ progress: () => undefined }, this.#context.log, this.#context.clock);
    let copies = new CopiesByContainer();
    for await (const { batch, rows } of scan(this.#context, paths, withData, tally, { withStubs: true })) {
      await this.#collect(batch, rows, copies);
      if (copies.count < copiesAtOnce) continue;
      await this.#verify(await copies.toVerify(this.#context.catalog));
      copies = new CopiesByContainer();
    }
    await this.#verify(await copies.toVerify(this.#context.catalog));
  }

  async #collect(batch: WalkBatch, rows: Uint32Array, copies: CopiesByContainer): Promise<void> {
    const { catalog, filesystem } = this.#context;
    const files = await catalog.filesByInode(
      filesystem.row.id,
      Array.from(rows, (row) => batch.ino[row]!),
    );
    const objects = await catalog.objects(files.flatMap((file) => (file === undefined ? [] : [file.object])));
    let next = 0;
    for (const [i, row] of rows.entries()) {
      if (files[i] === undefined) continue;
      const object = objects[next++];
      for (const copy of object?.copies ?? []) if (copy.volumeState !== 'failed') copies.add(object!, copy, pathOf(batch, row));
    }
  }

  async #verify(wanted: readonly ContainerToVerify[]): Promise<void> {
    const before = { checked: this.#checked, bytes: this.#bytes };
    const result: VerifyResult = await verifyContainers(this.#context, wanted, {
      stopped: () => this.#context.stopRequested(),
      onProgress: (files, bytes) => {
        this.#checked = before.checked + files;
        this.#bytes = before.bytes + bytes;
        this.#observer.progress({ phase: 'verify', files: this.#checked, bytes: this.#bytes, totalFiles: null, totalBytes: null });
      },
      onDamage: (damage, members) => this.#report(damage, members),
    });
    for (const [volume, { message }] of result.unread) {
      this.#damaged += 1;
      this.#observer.damaged({ volume, container: 0, offset: null, object: null, filesystem: null, path: null, reason: message });
    }
  }

  #report({ container: { volume, number }, row, reason }: Damage, members: MemberColumns & Partial<Pick<CatalogMembers, 'paths' | 'filesystems'>>): void {
    this.#damaged += 1;
    const told: DamagedObject = {
      volume,
      container: number,
      offset: row === null ? null : members.offset[row]!,
      object: row === null ? null : Buffer.from(members.objectIds.subarray(row * 16, row * 16 + 16)),
      filesystem: row === null ? null : (members.filesystems ?? [])[row] ?? this.#context.filesystem.row.id,
      path: row === null ? null : (members.paths?.[row] ?? null),
      reason,
    };
    this.#toRepair.push(told);
    this.#observer.damaged(told);
  }
}

const withData = (batch: WalkBatch): Judge => (row) => (batch.size[row] === 0 ? 'empty' : null);

interface WantedCopy {
  readonly object: ObjectRow;
  readonly copy: CopyRow;
  readonly path: Buffer;
}

class CopiesByContainer {
  count = 0;
  readonly #volumes = new Map<string, Map<number, WantedCopy[]>>();

  add(object: ObjectRow, copy: CopyRow, path: Buffer): void {
    const containers = this.#volumes.get(copy.volume) ?? new Map<number, WantedCopy[]>();
    this.#volumes.set(copy.volume, containers);
    const copies = containers.get(copy.container);
    if (copies === undefined) containers.set(copy.container, [{ object, copy, path }]);
    else copies.push({ object, copy, path });
    this.count += 1;
  }

  async toVerify(catalog: Pick<ArchiverContext['catalog'], 'containers'>): Promise<ContainerToVerify[]> {
    const wanted: ContainerToVerify[] = [];
    for (const [barcode, containers] of this.#volumes) {
      for (const container of await catalog.containers(barcode)) {
        const copies = containers.get(container.number);
        if (copies !== undefined) wanted.push({ container, members: async () => columnsOf(copies), partly: true });
      }
    }
    return wanted;
  }
}

function columnsOf(unordered: readonly WantedCopy[]): MemberColumns & { readonly paths: readonly Buffer[] } {
  // A file may have been met under each of its names.
  const copies = [...new Map(unordered.map((each) => [each.copy.offset, each])).values()].sort((a, b) => a.copy.offset - b.copy.offset);
  return {
    count: copies.length,
    offset: Float64Array.from(copies, ({ copy }) => copy.offset),
    size: Float64Array.from(copies, ({ object }) => object.size),
    objectIds: Buffer.concat(copies.map(({ object }) => object.id)),
    sha256: Buffer.concat(copies.map(({ object }) => object.sha256)),
    paths: copies.map(({ path }) => path),
  };
}
