import { rm } from 'node:fs/promises';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { errorCode } from '../../src/errors.ts';
import type { CartridgeFiles } from '../../src/media/cartridge-record.ts';
import { loadVirtualCartridge } from '../../src/media/virtual-cartridge.ts';
import type { VirtualCartridge } from '../../src/media/virtual-cartridge.ts';
import { newCartridge } from '../fixtures/cartridge.ts';
import { cutPower } from '../fixtures/power-cut.ts';
import { seededBytes, seededRandom } from '../fixtures/random.ts';

const capacity = 200_000;
const seeds = process.env['HSM_TEST_SEED'] === undefined ? Array.from({ length: 12 }, (_, n) => (Date.now() + 7919 * n) % 2 ** 31) : [Number(process.env['HSM_TEST_SEED'])];

for (const [number, seed] of seeds.entries()) {
  test(`random use and power cuts leave a cartridge like its model, run ${number + 1}`, async (t) => {
    try {
      await new Run(t, seed, await newCartridge(t, capacity)).all(400);
      t.pass();
    } catch (error) {
      t.log(`HSM_TEST_SEED=${seed} repeats this`);
      throw error;
    }
  });
}

/** The tape as a list of blocks; null is a filemark. */
class Run {
  readonly #t: ExecutionContext;
  readonly #files: CartridgeFiles;
  readonly #random: () => number;
  #medium!: VirtualCartridge;
  #objects: (Buffer | null)[] = [];
  #position = 0;
  /** Objects that a synchronous filemark or an unload confirmed. */
  #confirmed = 0;
  #blocks: number;
  /** The index was lost with the power, and with it the knowledge of how much is durable, until that is confirmed again. */
  #cacheLost = false;

  constructor(t: ExecutionContext, seed: number, files: CartridgeFiles) {
    this.#t = t;
    this.#files = files;
    this.#random = seededRandom(seed);
    this.#blocks = seed;
  }

  async all(steps: number): Promise<void> {
    this.#medium = await loadVirtualCartridge(this.#files);
    for (let step = 0; step < steps; step += 1) {
      await this.#step();
      this.#expect((await this.#medium.position()) === this.#position, 'position');
    }
    await this.#medium.unload();
  }

  async #step(): Promise<void> {
    const choice = this.#random();
    if (choice < 0.3) await this.#write();
    else if (choice < 0.38) await this.#mark(false);
    else if (choice < 0.46) await this.#mark(true);
    else if (choice < 0.72) await this.#read();
    else if (choice < 0.8) await this.#locate(this.#pick(this.#objects.length + 1));
    else if (choice < 0.9) await this.#locateEnd();
    else if (choice < 0.92) await this.#locate(0);
    else if (choice < 0.96) await this.#reload();
    else await this.#powerCut();
  }

  async #write(): Promise<void> {
    const data = seededBytes(this.#blocks++, 1 + this.#pick(this.#pick(2) === 0 ? 40 : 6000));
    await this.#append(data, 8 + data.length + (data.length & 1), () => this.#medium.writeBlock(data));
  }

  async #mark(sync: boolean): Promise<void> {
    const written = await this.#append(null, 4, () => this.#medium.writeFilemark({ sync }));
    if (!written || !sync) return;
    this.#confirmed = this.#objects.length;
    this.#cacheLost = false;
  }

  async #append(object: Buffer | null, size: number, write: () => Promise<{ earlyWarning: boolean }>): Promise<boolean> {
    const used = sizeOf(this.#objects.slice(0, this.#position)) + size;
    if (used > capacity) {
      await this.#fails('ENOSPC', write);
      return false;
    }
    const { earlyWarning } = await write();
    this.#expect(earlyWarning === used > capacity - capacity / 4, 'early warning');
    this.#objects = [...this.#objects.slice(0, this.#position), object];
    this.#confirmed = Math.min(this.#confirmed, this.#position);
    this.#position = this.#objects.length;
    this.#expect((await this.#medium.capacity()).used === used, 'used');
    return true;
  }

  async #read(): Promise<void> {
    const expected = this.#objects[this.#position];
    if (expected === undefined) {
      this.#expect((await this.#medium.readBlock(Buffer.alloc(10))) === 'end', 'end');
      return;
    }
    this.#position += 1;
    if (expected !== null && this.#pick(8) === 0) {
      await this.#fails('ENOMEM', () => this.#medium.readBlock(Buffer.alloc(expected.length - 1)));
      return;
    }
    const found = await this.#medium.readBlock(Buffer.alloc(7000));
    this.#expect(expected === null ? found === 'filemark' : Buffer.isBuffer(found) && found.equals(expected), `object ${this.#position - 1}`);
  }

  async #locate(address: number): Promise<void> {
    await this.#medium.locate(address);
    this.#position = address;
    await this.#fails('EINVAL', () => this.#medium.locate(this.#objects.length + 1));
  }

  async #locateEnd(): Promise<void> {
    this.#expect((await this.#medium.locateEnd()) === this.#objects.length, 'end of data');
    this.#position = this.#objects.length;
  }

  async #reload(): Promise<void> {
    await this.#medium.unload();
    await this.#load();
    this.#cacheLost = false;
    this.#confirmed = this.#objects.length;
  }

  async #powerCut(): Promise<void> {
    const durable = sizeOf(this.#objects.slice(0, this.#confirmed));
    this.#expect(this.#cacheLost || this.#medium.durable >= durable, 'what is confirmed is durable');
    await this.#medium.abandon();
    const debris = (['cut', 'zeros', 'noise'] as const)[this.#pick(3)] ?? 'cut';
    await cutPower(this.#files.tap, durable, this.#pick(4) === 0 ? this.#pick(2) : this.#random(), debris, this.#random);
    await this.#load();
    const end = await this.#medium.locateEnd();
    this.#expect(end >= this.#confirmed, `${end} objects are left of ${this.#confirmed} confirmed ones`);
    if (debris === 'cut') {
      this.#expect(end <= this.#objects.length, 'nothing new appeared');
      this.#objects.length = end;
      this.#position = end;
      return;
    }
    // What lies behind the confirmed part may be anything: a user of the tape goes back there and writes on.
    await this.#medium.locate(this.#confirmed);
    this.#position = this.#confirmed;
    this.#objects.length = this.#confirmed;
    await this.#mark(true);
  }

  async #load(): Promise<void> {
    if (this.#pick(3) === 0) {
      await rm(this.#files.index, { force: true });
      this.#cacheLost = true;
    }
    this.#medium = await loadVirtualCartridge(this.#files);
    this.#position = 0;
  }

  async #fails(code: string, action: () => Promise<unknown>): Promise<void> {
    const error: unknown = await action().then(
      () => null,
      (error: unknown) => error,
    );
    this.#expect(errorCode(error) === code, `expected ${code}`);
  }

  #expect(holds: boolean, what: string): void {
    if (!holds) this.#t.fail(what);
    if (!holds) throw new Error(what);
  }

  #pick(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}

const sizeOf = (objects: readonly (Buffer | null)[]): number =>
  objects.reduce((sum, object) => sum + (object === null ? 4 : 8 + object.length + (object.length & 1)), 0);
