import test from 'ava';
import { HsmError } from '../../src/errors.ts';
import { DrivePool, LoadError, type MediaFailure } from '../../src/library/drive-pool.ts';
import type { DriveStatus, Library } from '../../src/library/library.ts';
import type { Medium } from '../../src/media/medium.ts';

/** A library that only remembers where volumes are. */
class FakeLibrary implements Library {
  readonly drives: { name: string; admin: 'up' | 'down'; reason: string | null; barcode: string | null }[];
  readonly loads: string[] = [];
  readonly unloads: string[] = [];
  broken = new Set<string>();
  /** Drives in which reads fail. */
  dirty = new Set<string>();
  jammed = false;

  constructor(count: number) {
    this.drives = Array.from({ length: count }, (_, i) => ({ name: `drive${i}`, admin: 'up', reason: null, barcode: null }));
  }

  async inventory(): Promise<{ drives: DriveStatus[]; slots: [] }> {
    return { drives: this.drives.map((drive) => ({ ...drive, state: drive.barcode === null ? 'empty' : 'ready' })), slots: [] };
  }

  async load(barcode: string, name: string): Promise<Medium> {
    this.loads.push(`${barcode}>${name}`);
    if (this.drives.some((drive) => drive.barcode === barcode && drive.name !== name)) throw new HsmError('EBUSY', 'it is in another drive');
    await new Promise((resolve) => setImmediate(resolve));
    if (this.broken.has(barcode)) throw new HsmError('EIO', 'the robot dropped it', { retry: 'other-copy' });
    this.drives.find((drive) => drive.name === name)!.barcode = barcode;
    const readBlock = async (): Promise<'end'> => {
      if (this.dirty.has(name)) throw new HsmError('EIO', 'cannot be read');
      return 'end';
    };
    return { barcode, readBlock, writeFilemark: () => Promise.reject(new HsmError('EIO', 'not durable')) } as unknown as Medium;
  }

  async unload(name: string): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.jammed) throw new HsmError('EIO', 'it is stuck');
    this.unloads.push(name);
    this.drives.find((drive) => drive.name === name)!.barcode = null;
  }

  async setDrive(name: string, admin: 'up' | 'down', reason: string | null): Promise<void> {
    Object.assign(this.drives.find((drive) => drive.name === name)!, { admin, reason });
  }

  async close(): Promise<void> {}
}

const gate = (): { open: () => void; passed: Promise<void> } => {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { open: resolve, passed: promise };
};

const settle = async (): Promise<void> => {
  for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

test('a volume stays loaded and its next user gets the same medium without a move', async (t) => {
  const library = new FakeLibrary(1);
  const pool = await DrivePool.open(library);
  const first = await pool.withVolume('A', 'write', 'archive', async (medium) => medium);
  const second = await pool.withVolume('A', 'read', 'bulk', async (medium) => medium);
  t.is(first, second);
  t.deepEqual(library.loads, ['A>drive0']);
  t.deepEqual(pool.loaded, ['A']);
});

test('a volume on which a write failed is loaded anew for its next user', async (t) => {
  const library = new FakeLibrary(1);
  const pool = await DrivePool.open(library);
  const failing = (medium: Medium): Promise<unknown> => t.throwsAsync(medium.writeFilemark({ sync: true }));
  const first = await pool.withVolume('A', 'write', 'archive', async (medium) => (await failing(medium), medium));
  t.deepEqual(library.unloads, []);
  const second = await pool.withVolume('A', 'write', 'archive', async (medium) => medium);
  t.not(first, second);
  t.deepEqual(library.unloads, ['drive0']);
  t.is(await pool.withVolume('A', 'read', 'bulk', async (medium) => medium), second);
  t.deepEqual(library.loads, ['A>drive0', 'A>drive0']);
});

test('the least recently used idle volume makes room', async (t) => {
  const library = new FakeLibrary(2);
  const pool = await DrivePool.open(library);
  for (const barcode of ['A', 'B', 'A', 'C']) await pool.withVolume(barcode, 'read', 'bulk', async () => {});
  t.deepEqual(pool.loaded.sort(), ['A', 'C']);
});

test('a volume is never in two drives: the second user waits for the first', async (t) => {
  const library = new FakeLibrary(2);
  const pool = await DrivePool.open(library);
  const held = gate();
  const order: string[] = [];
  const first = pool.withVolume('A', 'read', 'bulk', async () => {
    await held.passed;
    order.push('first');
  });
  const second = pool.withVolume('A', 'read', 'interactive', async () => {
    order.push('second');
  });
  await settle();
  held.open();
  await Promise.all([first, second]);
  t.deepEqual(order, ['first', 'second']);
  t.deepEqual(library.loads, ['A>drive0']);
});

test('a volume that makes room is not loaded elsewhere before it has left', async (t) => {
  const library = new FakeLibrary(2);
  const pool = await DrivePool.open(library);
  for (const barcode of ['B', 'C']) await pool.withVolume(barcode, 'read', 'bulk', async () => {});
  await t.notThrowsAsync(Promise.all(['A', 'B'].map((barcode) => pool.withVolume(barcode, 'read', 'bulk', async () => {}))));
  t.deepEqual(pool.loaded.sort(), ['A', 'B']);
});

test('a volume that could not make room stays to be had where it is', async (t) => {
  const library = new FakeLibrary(2);
  const pool = await DrivePool.open(library);
  for (const barcode of ['B', 'C']) await pool.withVolume(barcode, 'read', 'bulk', async () => {});
  library.broken.add('A');
  const [failed, had] = await Promise.allSettled(['A', 'B'].map((barcode) => pool.withVolume(barcode, 'read', 'bulk', async (_medium, drive) => drive)));
  t.is(failed?.status, 'rejected');
  t.like(had, { status: 'fulfilled', value: 'drive0' });
});

test('at hand-over an interactive recall goes before a bulk recall, and that before an archive', async (t) => {
  const pool = await DrivePool.open(new FakeLibrary(1));
  const held = gate();
  const order: string[] = [];
  const use = (name: string, priority: 'interactive' | 'bulk' | 'archive'): Promise<void> =>
    pool.withVolume(name, 'read', priority, async () => {
      order.push(name);
    });
  const first = pool.withVolume('A', 'write', 'archive', () => held.passed);
  await settle();
  t.false(pool.contended('archive'));
  const rest = [use('w', 'archive'), use('b1', 'bulk'), use('b2', 'bulk'), use('i', 'interactive')];
  t.true(pool.contended('archive'));
  t.false(pool.contended('interactive'));
  held.open();
  await Promise.all([first, ...rest]);
  t.deepEqual(order, ['i', 'b1', 'b2', 'w']);
});

test('two users of two volumes each never wait for each other', async (t) => {
  const pool = await DrivePool.open(new FakeLibrary(2));
  const use = (barcodes: string[]): Promise<string[]> =>
    pool.withVolumes(barcodes, 'write', 'archive', async (leased) => {
      await settle();
      return leased.map(({ medium }) => medium.barcode);
    });
  t.deepEqual(await Promise.all([use(['A', 'B']), use(['B', 'A']), use(['C', 'A'])]), [
    ['A', 'B'],
    ['B', 'A'],
    ['C', 'A'],
  ]);
});

test('a drive is kept for who needs two, so that later users of its own rank cannot starve it', async (t) => {
  const pool = await DrivePool.open(new FakeLibrary(2));
  const held = gate();
  const order: string[] = [];
  const first = pool.withVolume('A', 'write', 'archive', () => held.passed);
  await settle();
  const both = pool.withVolumes(['B', 'C'], 'write', 'archive', async () => {
    order.push('both');
  });
  const later = pool.withVolume('D', 'write', 'archive', async () => {
    order.push('later');
  });
  const urgent = pool.withVolume('E', 'read', 'interactive', async () => {
    order.push('urgent');
  });
  await urgent;
  held.open();
  await Promise.all([first, both, later]);
  t.deepEqual(order, ['urgent', 'both', 'later']);
});

test('drives that are down are not used, and too few drives are an error at once', async (t) => {
  const library = new FakeLibrary(2);
  const pool = await DrivePool.open(library);
  await pool.setDrive('drive0', 'down', 'dirty head');
  await pool.withVolume('A', 'read', 'bulk', async (_, drive) => {
    t.is(drive, 'drive1');
  });
  const error = await t.throwsAsync(
    pool.withVolumes(['A', 'B'], 'write', 'archive', async () => {}),
    { instanceOf: LoadError, code: 'NO_DRIVE' },
  );
  t.regex(error.message, /drive0 down \(dirty head\)/);
  t.is(pool.up, 1);
});

test('a drive that goes down under its user finishes the use; its volume is then had in another', async (t) => {
  const library = new FakeLibrary(2);
  const pool = await DrivePool.open(library);
  const held = gate();
  const using = pool.withVolume('A', 'read', 'bulk', () => held.passed);
  await settle();
  const waiting = pool.withVolume('A', 'read', 'bulk', async (_medium, drive) => drive);
  await pool.setDrive('drive0', 'down', 'service');
  held.open();
  await using;
  t.is(await waiting, 'drive1');
  t.is(library.drives[0]?.barcode, null);
});

test('a volume that cannot be taken out of a drive that is down is out of reach until the drive is up', async (t) => {
  const library = new FakeLibrary(2);
  const pool = await DrivePool.open(library);
  await pool.withVolume('A', 'read', 'bulk', async () => {});
  library.jammed = true;
  await pool.setDrive('drive0', 'down', 'service');
  await settle();
  await t.throwsAsync(
    pool.withVolume('A', 'read', 'bulk', async () => {}),
    { code: 'DRIVE_DOWN' },
  );
  await pool.setDrive('drive0', 'up', null);
  await t.notThrowsAsync(pool.withVolume('A', 'read', 'bulk', async () => {}));
});

test('a patient user waits for a drive that is down, and for no drive that has failed', async (t) => {
  const library = new FakeLibrary(1);
  const pool = await DrivePool.open(library);
  await pool.setDrive('drive0', 'down', 'cleaning');
  const waiting = pool.withVolume('A', 'read', 'interactive', async (_medium, drive) => drive, { patient: true });
  await settle();
  await t.throwsAsync(
    pool.withVolume('A', 'read', 'interactive', async () => {}),
    { code: 'NO_DRIVE' },
  );
  await pool.setDrive('drive0', 'up', null);
  t.is(await waiting, 'drive0');
});

test('a failed load names the volume and gives the drive back', async (t) => {
  const library = new FakeLibrary(1);
  library.broken.add('A');
  const pool = await DrivePool.open(library);
  const error = await t.throwsAsync(
    pool.withVolume('A', 'read', 'bulk', async () => {}),
    { instanceOf: LoadError, code: 'EIO' },
  );
  t.is((error).barcode, 'A');
  t.is((error).retry, 'other-copy');
  t.is(await pool.withVolume('B', 'read', 'bulk', async (medium) => medium.barcode), 'B');
});

test('a user that fails gives its drive back and the error passes', async (t) => {
  const pool = await DrivePool.open(new FakeLibrary(1));
  await t.throwsAsync(
    pool.withVolume('A', 'read', 'bulk', async () => {
      throw new HsmError('ENOSPC', 'full');
    }),
    { code: 'ENOSPC' },
  );
  t.deepEqual(pool.states[0]!.state, 'ready');
  t.is(await pool.withVolume('A', 'read', 'bulk', async (medium) => medium.barcode), 'A');
});

test('a wait ends with its signal, and the next in line goes on', async (t) => {
  const pool = await DrivePool.open(new FakeLibrary(1));
  const held = gate();
  const using = pool.withVolume('A', 'read', 'bulk', () => held.passed);
  await settle();
  const abort = new AbortController();
  const waiting = pool.withVolume('B', 'read', 'bulk', async () => {}, { signal: abort.signal });
  const next = pool.withVolume('C', 'read', 'bulk', async () => {});
  abort.abort(new HsmError('ECANCELED', 'cancelled'));
  await t.throwsAsync(waiting, { code: 'ECANCELED' });
  held.open();
  await Promise.all([using, next]);
  t.deepEqual(pool.loaded, ['C']);
});

test('states tell who uses a drive for what', async (t) => {
  const pool = await DrivePool.open(new FakeLibrary(2));
  await pool.withVolume('A', 'write', 'archive', async () => {
    const [busy, empty] = pool.states;
    t.like(busy, { name: 'drive0', state: 'busy', barcode: 'A', purpose: 'write', priority: 'archive' });
    t.like(empty, { name: 'drive1', state: 'empty', barcode: null, purpose: null, priority: null });
  });
  t.like(pool.states[0], { state: 'ready', purpose: null });
});

test('close refuses those who wait and waits for those who use', async (t) => {
  const pool = await DrivePool.open(new FakeLibrary(1));
  const held = gate();
  let ended = false;
  const using = pool.withVolume('A', 'read', 'bulk', async () => {
    await held.passed;
    ended = true;
  });
  await settle();
  const waiting = pool.withVolume('B', 'read', 'bulk', async () => {});
  const refused = t.throwsAsync(waiting, { code: 'ECANCELED' });
  const closing = pool.close();
  await refused;
  t.false(ended);
  held.open();
  await closing;
  t.true(ended);
  await using;
  await t.throwsAsync(pool.withVolume('A', 'read', 'bulk', async () => {}), { code: 'ECANCELED' });
});

test('readers and writers have no more drives at a time than their quotas, and one that needs more waits until it is alone', async (t) => {
  const pool = await DrivePool.open(new FakeLibrary(3), { quotas: { read: 2, write: 1 } });
  t.is(pool.readable, 2);
  const held = gate();
  let readers = 0;
  let most = 0;
  const read = async (): Promise<void> => {
    most = Math.max(most, (readers += 1));
    await held.passed;
    readers -= 1;
  };
  const reads = ['A', 'B', 'C'].map((barcode) => pool.withVolume(barcode, 'read', 'interactive', read));
  const write = pool.withVolumes(['W', 'X'], 'write', 'archive', async (leased) => leased.length);
  await settle();
  t.is(most, 2);
  held.open();
  await Promise.all(reads);
  t.is(most, 2);
  t.is(await write, 2);
});

test('a drive that is avoided stays free', async (t) => {
  const pool = await DrivePool.open(new FakeLibrary(2));
  const seen: string[] = [];
  const use = async (_medium: Medium, drive: string): Promise<string> => drive;
  t.is(await pool.withVolume('A', 'read', 'bulk', use, { avoid: ['drive0'], granted: (drive) => seen.push(drive) }), 'drive1');
  t.deepEqual(seen, ['drive1']);
  const stop = new AbortController();
  const waiting = pool.withVolume('A', 'read', 'bulk', use, { avoid: ['drive0', 'drive1'], signal: stop.signal });
  await settle();
  stop.abort(new Error('enough'));
  await t.throwsAsync(waiting, { message: 'enough' });
});

test('a volume that nobody used for a while goes back to its slot, one that is in use does not', async (t) => {
  const library = new FakeLibrary(2);
  const pool = await DrivePool.open(library);
  await pool.withVolume('A', 'read', 'bulk', async () => {});
  const held = gate();
  const busy = pool.withVolume('B', 'read', 'bulk', () => held.passed);
  await settle();
  pool.dismountIdle(3_600_000);
  await settle();
  t.deepEqual(library.unloads, []);
  pool.dismountIdle(0);
  await settle();
  t.deepEqual(library.unloads, ['drive0']);
  t.deepEqual(pool.loaded, ['B']);
  held.open();
  await busy;
  t.is(await pool.withVolume('A', 'read', 'bulk', async () => 'again'), 'again');
});

test('a volume that cannot be read in a drive is told of once, leaves it, and can be had elsewhere', async (t) => {
  const library = new FakeLibrary(2);
  library.dirty.add('drive0');
  const failures: MediaFailure[] = [];
  const pool = await DrivePool.open(library, { onFailure: (failure) => void failures.push(failure) });
  const readTwice = async (medium: Medium): Promise<unknown[]> => {
    const tries = [await medium.readBlock(Buffer.alloc(1)).catch((error: unknown) => error), await medium.readBlock(Buffer.alloc(1)).catch((error: unknown) => error)];
    return tries;
  };
  t.true((await pool.withVolume('A', 'read', 'bulk', readTwice)).every((each) => each instanceof HsmError));
  t.deepEqual(failures, [{ drive: 'drive0', volume: 'A', operation: 'read', code: 'EIO', message: 'cannot be read' }]);
  t.deepEqual(await pool.withVolume('A', 'read', 'bulk', readTwice, { avoid: ['drive0'] }), ['end', 'end']);
  t.deepEqual(library.loads, ['A>drive0', 'A>drive1']);
});

test('a volume that sits in a drive to be avoided is taken out of it', async (t) => {
  const library = new FakeLibrary(2);
  const pool = await DrivePool.open(library);
  await pool.withVolume('A', 'read', 'bulk', async () => undefined);
  const drive = await pool.withVolume('A', 'read', 'bulk', async (_medium, name) => name, { avoid: ['drive0'] });
  t.is(drive, 'drive1');
});

test('where it cannot be taken out of a drive to be avoided, that is tried once, and is an error', async (t) => {
  const library = new FakeLibrary(2);
  const pool = await DrivePool.open(library);
  await pool.withVolume('A', 'read', 'bulk', async () => undefined);
  library.jammed = true;
  const error = await t.throwsAsync(pool.withVolume('A', 'read', 'bulk', async () => undefined, { avoid: ['drive0'] }), { instanceOf: LoadError, code: 'EIO' });
  t.regex(error.message, /cannot be taken out of drive0/);
});
