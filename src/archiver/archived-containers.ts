/** Containers of this run whose files are in the catalogue and still on disk: they are verified together, then released. */
import type { ArchivedMembers, ContainerRow } from '../catalog/model.ts';
import { encodeStubRecord } from '../stub.ts';
import type { ArchiverContext } from './context.ts';
import { pathOf } from './file-list.ts';
import type { Releaser } from './releaser.ts';
import type { Tally } from './tally.ts';
import { verifyContainers, type ContainerToVerify } from './verify-containers.ts';

export interface ArchivedContainer {
  /** The same bytes on one volume per pool; stubs name the first. */
  readonly containers: readonly ContainerRow[];
  readonly members: ArchivedMembers;
  readonly nlink: Uint32Array;
  readonly bytes: number;
}

export interface WindowLimits {
  readonly files: number;
  readonly bytes: number;
}

type WindowContext = Pick<ArchiverContext, 'catalog' | 'drives' | 'filesystem' | 'log' | 'config' | 'stopRequested'>;

export class ArchivedContainers {
  readonly #context: WindowContext;
  readonly #releaser: Releaser;
  readonly #tally: Tally;
  readonly #limits: WindowLimits;
  #waiting: ArchivedContainer[] = [];

  constructor(context: WindowContext, releaser: Releaser, tally: Tally, limits: WindowLimits) {
    this.#context = context;
    this.#releaser = releaser;
    this.#tally = tally;
    this.#limits = limits;
  }

  /** `addArchived` has resolved for it. */
  add(container: ArchivedContainer): void {
    this.#waiting.push(container);
  }

  /** Reading back costs tape movement, memory bounds how long it can be put off. */
  get due(): boolean {
    const files = this.#waiting.reduce((sum, { members }) => sum + members.count, 0);
    const bytes = this.#waiting.reduce((sum, each) => sum + each.bytes, 0);
    return files >= this.#limits.files || bytes >= this.#limits.bytes;
  }

  /** Releases the files of every container that is good on all its volumes. The others stay archived. */
  async verifyAndRelease(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    const good = await this.#verify(waiting);
    for (const container of good) await this.#release(container);
  }

  async #verify(waiting: readonly ArchivedContainer[]): Promise<ArchivedContainer[]> {
    const owners = new Map<number, ArchivedContainer>();
    const wanted: ContainerToVerify[] = [];
    for (const each of waiting) {
      for (const container of each.containers) {
        // Some media are read back as soon as they are written.
        if (container.verified) continue;
        owners.set(container.id, each);
        wanted.push({ container, members: async () => each.members });
      }
    }
    const damaged = new Set<string>();
    const result = await verifyContainers(this.#context, wanted, {
      stopped: () => this.#context.stopRequested(),
      onProgress: (files, bytes) => this.#tally.progress('verify', files, bytes),
      onDamage: ({ container, row, reason }) => {
        const { members } = owners.get(container.id)!;
        if (row === null) return;
        const key = `${members.ino[row]}`;
        if (damaged.has(key)) return;
        damaged.add(key);
        this.#tally.fail(reason, pathOf(members, row), members.size[row]);
      },
    });
    for (const [barcode, error] of result.unread) this.#context.log.warn({ barcode, error: error.message }, 'a volume could not be read back');
    return waiting.filter((each) => {
      const isGood = each.containers.every(({ id, verified }) => verified || result.verified.has(id));
      if (!isGood && !this.#context.stopRequested()) this.#countUnverified(each.members, damaged);
      return isGood;
    });
  }

  #countUnverified(members: ArchivedMembers, damaged: ReadonlySet<string>): void {
    for (let row = 0; row < members.count; row += 1) {
      if (!damaged.has(`${members.ino[row]}`)) this.#tally.skip('unverified', () => pathOf(members, row), members.size[row]);
    }
  }

  async #release({ containers, members, nlink }: ArchivedContainer): Promise<void> {
    const first = containers[0]!;
    const replaced = await this.#replaced(members, nlink);
    for (let row = 0; row < members.count; row += 1) {
      if (replaced.has(row)) continue;
      const object = members.objectIds.subarray(row * 16, row * 16 + 16);
      const ino = members.ino[row]!;
      const size = members.size[row]!;
      const mtimeNs = members.mtimeNs[row]!;
      const handleHash = members.handleHash[row]!;
      const record = encodeStubRecord({ flags: 0, volume: first.volume, container: first.number, offset: members.offset[row]!, object, size, mtimeNs, handleHash });
      await this.#releaser.add({ path: pathOf(members, row), ino, size, mtimeNs, ctimeNs: members.ctimeNs[row]!, handleHash, record });
    }
  }

  /** An inode with several names may have been archived again under another one: its stub must name what the catalogue does. */
  async #replaced(members: ArchivedMembers, nlink: Uint32Array): Promise<ReadonlySet<number>> {
    const rows: number[] = [];
    for (let row = 0; row < members.count; row += 1) if (nlink[row]! > 1) rows.push(row);
    if (rows.length === 0) return new Set();
    const files = await this.#context.catalog.filesByInode(
      members.filesystem,
      rows.map((row) => members.ino[row]!),
    );
    return new Set(rows.filter((row, i) => files[i]?.object.equals(members.objectIds.subarray(row * 16, row * 16 + 16)) !== true));
  }
}
