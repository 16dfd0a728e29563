/** The n-th operation of each kind fails, for n = 1, 2, ...: no file is lost or released too early, and a rerun finishes the job. */
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ArchiverCatalog, ArchiverContext, ArchiverNative } from '../../src/archiver/index.ts';
import { HsmError } from '../../src/errors.ts';
import { Faults, type Fault, type FaultyOperation } from '../../src/media/decorators/with-faults.ts';
import { native, type Packer, type PackOptions } from '../../src/native/index.ts';
import { checkInvariants, originalsOf, type Originals } from '../fixtures/archive-invariants.ts';
import { archiving, type Archiving } from '../fixtures/archiving.ts';
import { kernelTest } from '../fixtures/loopfs.ts';
import { seededBytes } from '../fixtures/random.ts';

const root = kernelTest(test.serial as typeof test);

/** Arms one failure; tells how often the operation was asked for, so that n need not go on for ever. */
interface Saboteur {
  readonly arm: (n: number) => void;
  readonly disarm: () => void;
  readonly calls: () => number;
  readonly context?: Partial<ArchiverContext>;
}

/** As Faults, but one plan at a time, and counted. */
class OneFault extends Faults {
  calls = 0;
  #left = 0;
  readonly #operation: FaultyOperation;
  readonly #fault: Fault;

  constructor(operation: FaultyOperation, fault: Fault) {
    super();
    this.#operation = operation;
    this.#fault = fault;
  }

  arm(n: number): void {
    this.#left = n;
    this.calls = 0;
  }

  override next(operation: FaultyOperation): Fault | null {
    if (operation !== this.#operation || this.#left === 0) return null;
    this.calls += 1;
    return this.calls === this.#left ? this.#fault : null;
  }
}

class Countdown {
  calls = 0;
  #left = 0;

  arm(n: number): void {
    this.#left = n;
    this.calls = 0;
  }

  /** Runs the operation, and fails before or after it when its turn has come. */
  async around<T>(when: 'before' | 'after', run: () => Promise<T>): Promise<T> {
    this.calls += 1;
    const isDue = this.calls === this.#left;
    const error = new HsmError('EIO', 'failed by plan', { retry: 'other-copy' });
    if (isDue && when === 'before') throw error;
    const result = await run();
    if (isDue) throw error;
    return result;
  }
}

let serial = 0;

/** New files in the place of the old ones. */
function freshFiles(site: Archiving): Originals {
  rmSync(join(site.mount, 'd'), { recursive: true, force: true });
  mkdirSync(join(site.mount, 'd'));
  const paths = Array.from({ length: 7 }, (_, i) => `d/${(serial += 1)}-${i}`);
  for (const [i, path] of paths.entries()) {
    const full = join(site.mount, path);
    writeFileSync(full, seededBytes(serial * 7 + i, i === 3 ? 1_500_000 : 250_000));
    utimesSync(full, 1_400_000_000, 1_400_000_000);
  }
  return originalsOf(site.mount, paths);
}

/** What an operator would do. */
async function repair(site: Archiving): Promise<void> {
  for (const { name } of site.drives.states) await site.drives.setDrive(name, 'up', null);
  for (const { barcode, state } of await site.catalog.volumes()) if (state === 'suspect') await site.catalog.setVolume(barcode, { state: 'writable', reason: null });
}

async function failEach(t: ExecutionContext, site: Archiving, { arm, disarm, calls, context = {} }: Saboteur, most = 200): Promise<void> {
  let failed = 0;
  for (let n = 1; n <= most; n += 1) {
    const originals = freshFiles(site);
    arm(n);
    try {
      const summary = await site.archive({}, context);
      if (summary.released < originals.size) failed += 1;
    } catch {
      failed += 1;
    }
    const met = calls() >= n;
    disarm();
    await t.notThrowsAsync(checkInvariants(site, originals, { copies: 2 }), `after failure ${n}`);
    await repair(site);
    t.is((await site.archive()).failed, 0, `rerun after failure ${n}`);
    t.deepEqual(await checkInvariants(site, originals, { copies: 2 }), { stubs: originals.size, resident: 0 }, `rerun after failure ${n}`);
    if (!met) {
      t.true(n > 1, 'the operation was used at all');
      t.log(`${n - 1} failures, ${failed} runs did not finish`);
      return;
    }
  }
  t.log(`${most} failures, ${failed} runs did not finish`);
}

const options = { pools: ['first', 'second'], cartridges: 40, capacity: 2 ** 30, containerSize: 2 ** 20, drives: 2 } as const;

const medium = (title: string, operation: FaultyOperation, code: string, when: 'before' | 'after'): void =>
  root(title, async (t) => {
    const fault = new OneFault(operation, { kind: 'fail', code, when });
    const site = await archiving(t, 'ext4', { ...options, faults: fault });
    await failEach(t, site, { arm: (n) => fault.arm(n), disarm: () => fault.arm(0), calls: () => fault.calls });
  });

for (const when of ['before', 'after'] as const) {
  medium(`a write fails with EIO ${when} it happened`, 'write', 'EIO', when);
  medium(`a synchronous filemark fails with EIO ${when} it happened`, 'sync', 'EIO', when);
}
medium('a write fails with ENOSPC', 'write', 'ENOSPC', 'before');
medium('a synchronous filemark fails with ENOSPC', 'sync', 'ENOSPC', 'before');
medium('the disk under the library is full', 'write', 'LIBRARY_FULL', 'before');
medium('a read fails', 'read', 'EIO', 'before');
medium('a locate fails', 'locate', 'EIO', 'before');
medium('a rewind fails', 'rewind', 'EIO', 'before');
medium('a load fails', 'load', 'EIO', 'before');
medium('a move fails', 'move', 'EIO', 'before');

root('a block comes back with a wrong bit', async (t) => {
  const fault = new OneFault('read', { kind: 'flip', bit: 8 * 5000 });
  const site = await archiving(t, 'ext4', { ...options, faults: fault });
  await failEach(t, site, { arm: (n) => fault.arm(n), disarm: () => fault.arm(0), calls: () => fault.calls });
});

const writers = ['setVolume', 'beginContainer', 'closeContainer', 'markVerified', 'addArchived', 'moveFiles', 'dump'] as const satisfies readonly (keyof ArchiverCatalog)[];

for (const when of ['before', 'after'] as const) {
  root(`a write to the catalogue fails ${when} it happened`, async (t) => {
    const site = await archiving(t, 'ext4', options);
    const countdown = new Countdown();
    const failing = Object.fromEntries(
      writers.map((name) => {
        const method = (...words: unknown[]): Promise<unknown> => (site.catalog[name] as (...words: unknown[]) => Promise<unknown>)(...words);
        return [name, (...words: unknown[]) => countdown.around(when, () => method(...words))];
      }),
    );
    const catalog = { ...site.catalog, ...failing };
    await failEach(t, site, { arm: (n) => countdown.arm(n), disarm: () => countdown.arm(0), calls: () => countdown.calls, context: { catalog } });
  });

  root(`an eviction fails ${when} it happened`, async (t) => {
    const site = await archiving(t, 'ext4', options);
    const countdown = new Countdown();
    const evict: ArchiverNative['evict'] = (...words) => countdown.around(when, () => native.evict(...words));
    const saboteur = { arm: (n: number) => countdown.arm(n), disarm: () => countdown.arm(0), calls: () => countdown.calls };
    await failEach(t, site, { ...saboteur, context: { native: { ...nativeParts, evict } } });
  });
}

root('a read of the catalogue fails', async (t) => {
  const site = await archiving(t, 'ext4', options);
  const countdown = new Countdown();
  const readers = ['volumes', 'volume', 'containers', 'filesByInode', 'objects', 'countStates'] as const;
  const failing = Object.fromEntries(
    readers.map((name) => {
      const method = (...words: unknown[]): Promise<unknown> => (site.catalog[name] as (...words: unknown[]) => Promise<unknown>)(...words);
      return [name, (...words: unknown[]) => countdown.around('before', () => method(...words))];
    }),
  );
  const catalog = { ...site.catalog, ...failing };
  await failEach(t, site, { arm: (n) => countdown.arm(n), disarm: () => countdown.arm(0), calls: () => countdown.calls, context: { catalog } });
});

root('the packer fails', async (t) => {
  const site = await archiving(t, 'ext4', options);
  const countdown = new Countdown();
  class FailingPacker implements Packer {
    readonly #packer: Packer;
    constructor(given: PackOptions) {
      this.#packer = new native.Packer(given);
    }
    begin = (): void => this.#packer.begin();
    push: Packer['push'] = (input) => this.#packer.push(input);
    pushFile: Packer['pushFile'] = (name, path) => this.#packer.pushFile(name, path);
    end = (): void => this.#packer.end();
    next = (): ReturnType<Packer['next']> => countdown.around('before', () => this.#packer.next());
    release: Packer['release'] = (block) => this.#packer.release(block);
    abort = (): Promise<void> => this.#packer.abort();
    close = (): void => this.#packer.close();
  }
  const saboteur = { arm: (n: number) => countdown.arm(n), disarm: () => countdown.arm(0), calls: () => countdown.calls };
  await failEach(t, site, { ...saboteur, context: { native: { ...nativeParts, Packer: FailingPacker } } });
});

const nativeParts: ArchiverNative = {
  walk: (...words) => native.walk(...words),
  evict: (...words) => native.evict(...words),
  payloadDigest: (...words) => native.payloadDigest(...words),
  statx: (...words) => native.statx(...words),
  Packer: native.Packer,
};
