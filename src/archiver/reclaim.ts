/** One run of `hsm tape reclaim`: what somebody still needs of a volume goes to other volumes of its pool, and the volume becomes scratch. */
import type { ContainerRow, CopyToKeep, VolumeRow } from '../catalog/model.ts';
import type { Progress, ReclaimLine, ReclaimSummary } from '../daemon/protocol.ts';
import { exitCodes, HsmError, refusal } from '../errors.ts';
import { checkVolumeLabel, firstContainerAddress } from '../media/containers.ts';
import type { ArchiverContext } from './context.ts';
import { unknownData } from './unknown-data.ts';
import { ObjectCopier, type MembersToCopy } from './copy/object-copier.ts';
import { copyFromOthers } from './copy/other-copies.ts';
import { heldByStubs, rewriteRecords, type StubFilesystem } from './stub-records.ts';

export interface ReclaimRequest {
  /** None: all full and readonly volumes. */
  readonly barcodes: readonly string[];
  /** Volumes of which files and old versions need at least this part of what is used are left alone; null: none of those that are named. */
  readonly below: number | null;
  /** Old versions that ended at or before this time, ms since the epoch, are not kept. */
  readonly endedBefore: number;
  readonly dryRun: boolean;
}

export interface ReclaimContext extends ArchiverContext {
  /** All that are managed. */
  readonly filesystems: readonly StubFilesystem[];
  /** Resolves when no recall is about to read the volume any more. */
  unread(barcode: string): Promise<void>;
}

export interface ReclaimFailure {
  readonly volume: string;
  readonly container: number;
  readonly offset: number;
  readonly object: Buffer;
  readonly reason: string;
}

export interface ReclaimObserver {
  progress(progress: Progress): void;
  /** When it is done with. */
  volume(volume: ReclaimLine): void;
  failed(failure: ReclaimFailure): void;
}

/** Fails with `NO_VOLUME`, `REFUSED` (a volume whose state does not allow it), `NO_DRIVE`, and errors of the catalogue. A rerun goes on where one ended. */
export async function runReclaim(context: ReclaimContext, request: ReclaimRequest, observer: ReclaimObserver): Promise<ReclaimSummary> {
  return new ReclaimRun(context, request, observer).run();
}

const pageRows = 2000;
const defaultBelow = 0.5;
/** States of volumes that are looked at when none is named, and of those that may be named. */
const byThemselves: readonly VolumeRow['state'][] = ['full', 'readonly'];
const whenNamed: readonly VolumeRow['state'][] = ['writable', 'full', 'readonly', 'suspect'];

interface Plan {
  readonly row: VolumeRow;
  readonly pool: string;
  readonly containers: readonly ContainerRow[];
  readonly keep: MembersToCopy[];
  readonly keepBytes: number;
  /** By container. */
  readonly expired: Map<number, Buffer[]>;
  copied: number;
  bytes: number;
  failed: number;
}

class ReclaimRun {
  readonly #context: ReclaimContext;
  readonly #request: ReclaimRequest;
  readonly #observer: ReclaimObserver;
  /** Barcodes of the volumes that are to be emptied. */
  #leaving: readonly string[] = [];
  #volumes = 0;
  #reclaimed = 0;
  #copied = 0;
  #bytes = 0;
  #expired = 0;
  #stubs = 0;
  #failed = 0;

  constructor(context: ReclaimContext, request: ReclaimRequest, observer: ReclaimObserver) {
    this.#context = context;
    this.#request = request;
    this.#observer = observer;
  }

  async run(): Promise<ReclaimSummary> {
    const plans = await this.#plans();
    if (plans.length > 0 && !this.#request.dryRun) {
      const avoid = new Map(plans.map(({ row }) => [row.barcode, 'it is being reclaimed']));
      let current: Plan | null = null;
      const copier = await ObjectCopier.open(this.#context, avoid, {
        copied: (members, bytes) => {
          if (current !== null) this.#count(current, members, bytes);
        },
      });
      let isDone = false;
      try {
        for (const plan of plans) {
          current = plan;
          await this.#empty(copier, plan);
        }
        const emptied = plans.filter(({ failed }) => failed === 0);
        if (!this.#context.stopRequested()) await this.#finish(emptied);
        isDone = true;
      } finally {
        await copier.close({ dump: isDone && !this.#context.stopRequested() });
      }
    }
    return {
      summary: true,
      volumes: this.#volumes,
      reclaimed: this.#reclaimed,
      copied: this.#copied,
      bytes: this.#bytes,
      expired: this.#expired,
      stubs: this.#stubs,
      failed: this.#failed,
      ...(this.#context.stopRequested() ? { interrupted: true } : {}),
    };
  }

  async #plans(): Promise<Plan[]> {
    const plans: Plan[] = [];
    const chosen = await this.#chosen();
    this.#leaving = chosen.map(({ barcode }) => barcode);
    for (const row of chosen) {
      if (this.#context.stopRequested()) break;
      const plan = await this.#planOf(row);
      const part = row.used === 0 ? 0 : plan.keepBytes / row.used;
      const below = this.#request.below ?? (this.#request.barcodes.length > 0 ? null : defaultBelow);
      this.#volumes += 1;
      if (below !== null && part >= below) this.#tell(plan, 'kept', `${Math.round(part * 100)} % of it is needed`);
      else if (this.#request.dryRun) this.#tell({ ...plan, copied: plan.keep.reduce((sum, { members }) => sum + members.length, 0), bytes: plan.keepBytes }, 'would', null);
      else plans.push(plan);
    }
    if (plans.some(({ keep }) => keep.length > 0) && this.#context.drives.up < 2) {
      throw new HsmError('NO_DRIVE', `to copy from volume to volume takes two drives, and ${this.#context.drives.up} are up: hsm drive up NAME`);
    }
    await this.#keepHeld(plans);
    return plans;
  }

  async #chosen(): Promise<VolumeRow[]> {
    const all = await this.#context.catalog.volumes();
    const { barcodes } = this.#request;
    if (barcodes.length === 0) return all.filter(({ state }) => byThemselves.includes(state));
    return [...new Set(barcodes)].map((barcode) => {
      const row = all.find((each) => each.barcode === barcode);
      if (row === undefined) throw new HsmError('NO_VOLUME', `no volume is named ${barcode}: see hsm tape ls`, { exit: exitCodes.failed });
      if (!whenNamed.includes(row.state) || row.pool === null) throw refusal(`volume ${barcode} is ${row.state}: only ${whenNamed.join(', ')} volumes can be reclaimed`);
      return row;
    });
  }

  async #planOf(row: VolumeRow): Promise<Plan> {
    const { catalog } = this.#context;
    const containers = (await catalog.containers(row.barcode)).filter(({ state }) => state === 'closed' || state === 'truncated');
    const keep: MembersToCopy[] = [];
    const expired = new Map<number, Buffer[]>();
    let keepBytes = 0;
    for (const container of containers) {
      const members: CopyToKeep[] = [];
      for (let after = -1; ; ) {
        const page = await catalog.copiesToKeep(container.id, after, pageRows, { endedBefore: this.#request.endedBefore, leaving: this.#leaving });
        for (const copy of page) {
          after = copy.offset;
          if (copy.isExpired) expired.set(container.id, [...(expired.get(container.id) ?? []), copy.object]);
          else if (!copy.isElsewhere) members.push(copy);
        }
        if (page.length < pageRows) break;
      }
      keepBytes += members.reduce((sum, { length }) => sum + length, 0);
      if (members.length > 0) keep.push({ container, members });
    }
    return { row, pool: row.pool ?? '', containers, keep, keepBytes, expired, copied: 0, bytes: 0, failed: 0 };
  }

  /** Old versions that some stub names are kept whatever their age: a stub from a backup may have nothing else. */
  async #keepHeld(plans: readonly Plan[]): Promise<void> {
    const wanted = new Set(plans.flatMap(({ expired }) => [...expired.values()].flat().map((id) => id.toString('hex'))));
    if (wanted.size === 0) return;
    const held = await heldByStubs(this.#context.filesystems, wanted);
    for (const { containers, expired, keep } of plans) {
      for (const container of containers) {
        const ids = expired.get(container.id) ?? [];
        const stays = ids.filter((id) => held === 'unknown' || held.has(id.toString('hex')));
        if (stays.length === 0) continue;
        expired.set(container.id, ids.filter((id) => !stays.includes(id)));
        await this.#keepAlso(container, stays, keep);
      }
    }
  }

  async #keepAlso(container: ContainerRow, ids: readonly Buffer[], keep: MembersToCopy[]): Promise<void> {
    const wanted = new Set(ids.map((id) => id.toString('hex')));
    const members = [...(keep.find((each) => each.container.id === container.id)?.members ?? [])];
    for (let after = -1; ; ) {
      const page = await this.#context.catalog.copiesToKeep(container.id, after, pageRows, { endedBefore: this.#request.endedBefore, leaving: this.#leaving });
      for (const copy of page) {
        after = copy.offset;
        if (copy.isExpired && !copy.isElsewhere && wanted.has(copy.object.toString('hex'))) members.push(copy);
      }
      if (page.length < pageRows) break;
    }
    members.sort((a, b) => a.offset - b.offset);
    const at = keep.findIndex((each) => each.container.id === container.id);
    if (at >= 0) keep[at] = { container, members };
    else if (members.length > 0) keep.push({ container, members });
    keep.sort((a, b) => a.container.startBlock - b.container.startBlock);
  }

  /** What cannot be read on the volume itself is had from another copy. */
  async #empty(copier: ObjectCopier, plan: Plan): Promise<void> {
    const failed = await copier.copy(plan.row.barcode, plan.pool, plan.keep);
    const left = failed.length === 0 ? [] : await copyFromOthers(this.#context, copier, plan.pool, plan.row.barcode, failed);
    for (const { member, container, reason } of left) {
      plan.failed += 1;
      this.#failed += 1;
      this.#observer.failed({ volume: container.volume, container: container.number, offset: member.offset, object: member.object, reason });
    }
    if (plan.failed > 0) this.#tell(plan, 'failed', `${plan.failed} of its objects could not be copied`);
  }

  /** All that is needed has another copy by now: stubs are told, then the old copies go, then the volumes are free. */
  async #finish(plans: readonly Plan[]): Promise<void> {
    const { catalog, filesystems, log } = this.#context;
    if (plans.length === 0) return;
    const volumes = new Set(plans.map(({ row }) => row.barcode));
    const { rewritten, dangling, unseen } = await rewriteRecords(filesystems, catalog, volumes);
    this.#stubs += rewritten;
    if (unseen !== null) {
      for (const plan of plans) this.#keepIt(plan, unseen);
      return;
    }
    for (const plan of plans) {
      const { barcode } = plan.row;
      const stubs = dangling.get(barcode) ?? 0;
      if (stubs > 0) {
        this.#keepIt(plan, `${stubs} ${stubs === 1 ? 'stub names' : 'stubs name'} an object on it that the catalogue does not know`);
        continue;
      }
      const unknown = await this.#unknownOn(barcode).catch((error: unknown) => (error as Error).message);
      if (unknown !== null) {
        this.#keepIt(plan, unknown);
        continue;
      }
      const expired = await this.#drop(plan);
      this.#expired += expired;
      const row = await catalog.volume(barcode);
      if (row === undefined || row.objects > 0) {
        this.#keepIt(plan, `${row?.objects ?? 0} objects on it have no good copy elsewhere`, expired);
        continue;
      }
      await this.#context.unread(barcode);
      if (this.#context.stopRequested()) return;
      await catalog.scratchVolume(barcode, firstContainerAddress);
      await catalog.logEvent('volume-reclaimed', null, { barcode, copied: plan.copied, bytes: plan.bytes, expired });
      log.info({ barcode, copied: plan.copied, bytes: plan.bytes, expired }, 'a volume was reclaimed');
      this.#reclaimed += 1;
      this.#tell(plan, 'scratch', null, expired);
    }
  }

  /** Why the volume must not be written anew, whatever the catalogue says; null: it may. */
  #unknownOn(barcode: string): Promise<string | null> {
    const { catalog, drives } = this.#context;
    return drives.withVolume(barcode, 'read', 'archive', async (medium) => {
      await checkVolumeLabel(medium, (await catalog.volume(barcode))?.serial ?? null);
      const block = await unknownData(medium, catalog);
      return block === null ? null : `it holds data at block ${block} that the catalogue knows nothing of: the catalogue is older than the volume`;
    });
  }

  /** Copies of which there are others, and of what nobody wants any more. */
  async #drop({ containers, expired }: Plan): Promise<number> {
    const { catalog } = this.#context;
    let count = 0;
    for (const { id } of containers) {
      await catalog.dropMovedCopies(id);
      count += await catalog.dropExpiredCopies(id, expired.get(id) ?? [], this.#request.endedBefore);
    }
    return count;
  }

  #keepIt(plan: Plan, reason: string, expired = 0): void {
    this.#failed += 1;
    this.#tell(plan, 'failed', reason, expired);
  }

  #count(plan: Plan, members: number, bytes: number): void {
    plan.copied += members;
    plan.bytes += bytes;
    this.#copied += members;
    this.#bytes += bytes;
    this.#observer.progress({ phase: 'reclaim', files: this.#copied, bytes: this.#bytes, totalFiles: null, totalBytes: null, note: plan.row.barcode });
  }

  #tell({ row: { barcode, pool }, copied, bytes }: Plan, result: ReclaimLine['result'], reason: string | null, expired = 0): void {
    this.#observer.volume({ barcode, pool, result, reason, copied, bytes, expired });
  }
}
