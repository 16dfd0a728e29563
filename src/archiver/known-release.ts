/** Releases files that are on tape already: at once where their copies were read back, else after that has been done, in tape order. */
import type { CopyRow } from '../catalog/model.ts';
import type { EvictItem, WalkBatch } from '../native/index.ts';
import { encodeStubRecord } from '../stub.ts';
import { membersOf } from './catalog-members.ts';
import type { NativeContext } from './context.ts';
import { pathOf } from './file-list.ts';
import { sortKnown, type KnownFile } from './known-files.ts';
import type { Judge } from './policy.ts';
import type { Releaser } from './releaser.ts';
import { scan } from './scan.ts';
import { Tally } from './tally.ts';
import { verifyContainers, type ContainerToVerify } from './verify-containers.ts';

/** Rows that are looked up in the catalogue while the ones before are evicted. */
export const releaseBatchRows = 2048;

export class KnownRelease {
  readonly #context: NativeContext;
  readonly #releaser: Releaser;
  readonly #tally: Tally;
  /** Containers that have to be read back first, by volume. */
  readonly #unverified = new Map<string, Set<number>>();

  constructor(context: NativeContext, releaser: Releaser, tally: Tally) {
    this.#context = context;
    this.#releaser = releaser;
    this.#tally = tally;
  }

  /** Releases it, now or in `finish()`. */
  async offer(batch: WalkBatch, known: KnownFile): Promise<void> {
    const unverified = known.copies.filter(({ verified }) => !verified);
    if (unverified.length === 0) return this.#releaser.add(itemOf(batch, known));
    for (const { volume, container } of unverified) {
      const containers = this.#unverified.get(volume) ?? new Set();
      this.#unverified.set(volume, containers.add(container));
    }
  }

  /** Verifies what `offer` met and releases the files of it, which takes a second walk: none of them was kept in memory. */
  async finish(paths: readonly Buffer[], judgeOf: (batch: WalkBatch) => Judge): Promise<void> {
    if (this.#unverified.size === 0 || this.#context.stopRequested()) return;
    await verifyContainers(this.#context, await this.#containers(), {
      stopped: () => this.#context.stopRequested(),
      onProgress: (files, bytes) => this.#tally.progress('verify', files, bytes),
    });
    const silent = new Tally({ progress: () => undefined }, this.#context.log, this.#context.clock);
    for await (const { batch, rows } of scan(this.#context, paths, judgeOf, silent, { batchRows: releaseBatchRows })) {
      const { known } = await sortKnown(this.#context, batch, rows, { change: true });
      for (const file of known) {
        if (!file.copies.some((copy) => this.#wasMet(copy))) continue;
        if (file.copies.every(({ verified }) => verified)) await this.#releaser.add(itemOf(batch, file));
        else this.#tally.skip('unverified', () => pathOf(batch, file.row), file.file.size);
      }
    }
  }

  #wasMet({ volume, container }: CopyRow): boolean {
    return this.#unverified.get(volume)?.has(container) === true;
  }

  async #containers(): Promise<ContainerToVerify[]> {
    const { catalog } = this.#context;
    const wanted: ContainerToVerify[] = [];
    for (const [barcode, numbers] of this.#unverified) {
      const rows = (await catalog.containers(barcode)).filter(({ number, verified }) => numbers.has(number) && !verified);
      for (const container of rows) wanted.push({ container, members: () => membersOf(catalog, barcode, container.number) });
    }
    return wanted;
  }
}

function itemOf(batch: WalkBatch, { row, file, copies }: KnownFile): EvictItem {
  const { volume, container, offset } = copies[0]!;
  const { ino, size, mtimeNs, ctimeNs, handleHash, object } = file;
  return { path: pathOf(batch, row), ino, size, mtimeNs, ctimeNs, handleHash, record: encodeStubRecord({ flags: 0, volume, container, offset, object, size, mtimeNs, handleHash }) };
}
