import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { HsmError } from '../../src/errors.ts';
import { requestText, type OperatorRequest } from '../../src/library/changer.ts';
import { systemClock, type Clock } from '../../src/library/clock.ts';
import { OperatorChanger } from '../../src/library/operator-changer.ts';
import { openScsiLibrary, type ScsiLibrary } from '../../src/library/scsi-library.ts';
import { labelVolume } from '../../src/media/containers.ts';
import type { TapeDevice } from '../../src/media/st/tape-device.ts';
import { fakeReel, FakeTape, type FakeReel } from '../fixtures/fake-tape.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';
import { until } from '../fixtures/until.ts';
import { librarySuite, type LibraryFixture } from '../suites/library.ts';

const barcodes = ['S00001L9', 'S00002L9', 'S00003L9'] as const;

/** Two drives, reels, and a person who does what `hand` says when something is asked for. */
interface Room {
  readonly dir: string;
  readonly reels: Map<string, FakeReel>;
  /** What is in the drives, by device. */
  readonly inside: Map<string, FakeReel>;
  readonly asked: OperatorRequest[];
  readonly withdrawn: string[];
  hand: (request: OperatorRequest) => void;
  readonly labelled: Set<string>;
  readonly trouble: { operator: boolean; notReady: number };
  readonly open: () => Promise<ScsiLibrary>;
}

const deviceOf = (drive: string): string => `/dev/nst${drive.at(-1)}`;

async function room(t: ExecutionContext): Promise<Room> {
  const dir = join(await temporaryFolder(t), 'state');
  const inside = new Map<string, FakeReel>();
  const inUse = new Set<string>();
  const openDevice = async (path: string): Promise<TapeDevice> => {
    if (inUse.has(path)) throw new HsmError('EBUSY', `${path} is in use`, { retry: 'later' });
    inUse.add(path);
    const reel = inside.get(path);
    const tape = new FakeTape(reel ?? fakeReel(0), { positions: true });
    return {
      operation: async (operation, count) => {
        if (operation !== 'MTOFFL') return tape.operation(operation, count);
        inside.delete(path);
      },
      status: async () => {
        if (reel !== undefined && made.trouble.notReady > 0) {
          made.trouble.notReady -= 1;
          throw Object.assign(new Error('EIO'), { code: 'EIO' });
        }
        return { ...(await tape.status()), online: reel !== undefined };
      },
      position: () => tape.position(),
      read: (into) => tape.read(into),
      write: (data) => tape.write(data),
      close: () => inUse.delete(path),
    };
  };
  const drives = ['drive0', 'drive1'].map((name, element) => ({ name, device: deviceOf(name), element }));
  const made: Room = {
    dir,
    inside,
    asked: [],
    withdrawn: [],
    labelled: new Set(),
    reels: new Map(barcodes.map((barcode) => [barcode, fakeReel(64 * 2 ** 20)])),
    trouble: { operator: false, notReady: 0 },
    hand: ({ drive, barcode }) => void inside.set(deviceOf(drive), made.reels.get(barcode)!),
    open: async () => {
      // A person takes a moment.
      const clock: Clock = { now: () => systemClock.now(), sleep: (_ms, signal) => systemClock.sleep(1, signal) };
      const onRequest = (request: OperatorRequest): void => {
        made.asked.push(request);
        made.hand(request);
      };
      const library = await openScsiLibrary({
        dir,
        drives,
        openDevice,
        openChanger: () => OperatorChanger.open({ dir, drives, openDevice, largestBlock: 2 ** 20, mayBeBlank: async (barcode) => !made.labelled.has(barcode), onRequest, onWithdrawn: ({ drive, barcode }, reason) => void made.withdrawn.push(`${barcode} in ${drive}: ${reason}`), clock }),
        capacityOf: () => 2 ** 30,
        loadTimeoutMs: 60_000,
        largestBlock: 2 ** 24 - 1,
        clock,
      });
      t.teardown(() => library.close());
      return library;
    },
  };
  return made;
}

/** A room whose cartridges are known and, unless said otherwise, labelled. */
async function stocked(t: ExecutionContext, { blank = false } = {}): Promise<{ made: Room; library: ScsiLibrary }> {
  const made = await room(t);
  const library = await made.open();
  await library.addCartridges({ barcodes });
  if (!blank) {
    for (const barcode of barcodes) {
      await labelVolume(await library.load(barcode, 'drive0'));
      await library.unload('drive0');
      made.labelled.add(barcode);
    }
    await library.close();
  }
  made.asked.length = 0;
  return { made, library: blank ? library : await made.open() };
}

librarySuite('drives without a robot', async (t): Promise<LibraryFixture> => {
  const { made, library } = await stocked(t, { blank: true });
  let current = library;
  return {
    library,
    drives: ['drive0', 'drive1'],
    barcodes,
    restart: async () => {
      await current.close();
      current = await made.open();
      return current;
    },
    crash: null,
    failNext: null,
  };
});

test('an operator is asked once for what is not there, and no more when it is in', async (t) => {
  const { made, library } = await stocked(t);
  made.hand = () => undefined;
  const loaded = library.load('S00002L9', 'drive1');
  await until(() => library.requests.length === 1);
  t.deepEqual(library.requests.map(requestText), ['put cartridge S00002L9 into drive1']);
  made.inside.set('/dev/nst1', made.reels.get('S00002L9')!);
  t.is((await loaded).barcode, 'S00002L9');
  t.deepEqual(library.requests, []);
  t.is(made.asked.length, 1);
});

test('what is in the drive already is taken without a word', async (t) => {
  const { made, library } = await stocked(t);
  made.inside.set('/dev/nst0', made.reels.get('S00003L9')!);
  t.is((await library.load('S00003L9', 'drive0')).barcode, 'S00003L9');
  t.deepEqual(made.asked, []);
});

test('a wrong cartridge, a blank one and a stranger\'s are given back, untouched, and the right one is asked for again', async (t) => {
  const { made, library } = await stocked(t);
  const strange = fakeReel(2 ** 20);
  strange.objects.push(Buffer.from('tar of somebody'), null);
  const blank = fakeReel(2 ** 20);
  const before = made.reels.get('S00002L9')!.objects.length;
  const wrong = [made.reels.get('S00002L9')!, blank, strange, made.reels.get('S00001L9')!];
  made.hand = ({ drive }) => {
    const next = wrong.shift();
    if (next !== undefined) made.inside.set(deviceOf(drive), next);
  };
  t.is((await library.load('S00001L9', 'drive0')).barcode, 'S00001L9');
  t.deepEqual(made.asked.map(({ problem }) => problem), [null, 'cartridge S00002L9 was given back', 'a blank cartridge was given back, S00001L9 has a label', 'a cartridge without a label of hsm was given back']);
  t.is(made.reels.get('S00002L9')!.objects.length, before);
  t.deepEqual([blank.objects.length, strange.objects.length], [0, 2]);
});

test('a drive that is set down ends the wait, and so does the end of the library', async (t) => {
  const { made, library } = await stocked(t);
  made.hand = () => undefined;
  const first = t.throwsAsync(library.load('S00001L9', 'drive0'), { instanceOf: HsmError, code: 'DRIVE_DOWN', message: /nobody is here/ });
  await until(() => library.requests.length === 1);
  await library.setDrive('drive0', 'down', 'nobody is here');
  await first;
  t.deepEqual(library.requests, []);
  const second = t.throwsAsync(library.load('S00001L9', 'drive1'), { instanceOf: HsmError, code: 'ECANCELED' });
  await until(() => library.requests.length === 1);
  await library.close();
  await second;
});

test('a wait that nobody wants any more ends with the reason, and the drive goes on with others', async (t) => {
  const { made, library } = await stocked(t);
  made.hand = () => undefined;
  const nobody = new AbortController();
  const load = t.throwsAsync(library.load('S00001L9', 'drive0', nobody.signal), { instanceOf: HsmError, code: 'ECANCELED', message: 'nobody wants it' });
  await until(() => library.requests.length === 1);
  nobody.abort(new HsmError('ECANCELED', 'nobody wants it'));
  await load;
  t.deepEqual(library.requests, []);
  t.deepEqual(made.withdrawn, ['S00001L9 in drive0: nobody wants it']);
  t.is((await library.inventory()).drives[0]?.state, 'empty');
  made.hand = ({ drive, barcode }) => void made.inside.set(deviceOf(drive), made.reels.get(barcode)!);
  t.is((await library.load('S00002L9', 'drive0')).barcode, 'S00002L9');
});

test('the shelf is remembered, and a damaged list is a mistake that is named', async (t) => {
  const { made, library } = await stocked(t);
  await library.close();
  const again = await made.open();
  t.deepEqual((await again.inventory()).slots.map(({ barcode }) => barcode), [...barcodes]);
  await again.close();
  writeFileSync(join(made.dir, 'shelf.json'), readFileSync(join(made.dir, 'shelf.json'), 'utf8').slice(0, 20));
  await t.throwsAsync(made.open(), { instanceOf: HsmError, code: 'CONFIG', message: /shelf\.json is damaged: .*hsm tape add/ });
});

test('two cartridges are asked for at the same time, and may come in any order', async (t) => {
  const { made, library } = await stocked(t);
  made.hand = () => undefined;
  const first = library.load('S00001L9', 'drive0');
  const second = library.load('S00002L9', 'drive1');
  await until(() => library.requests.length === 2);
  made.inside.set('/dev/nst1', made.reels.get('S00002L9')!);
  t.is((await second).barcode, 'S00002L9');
  await library.rescan();
  made.inside.set('/dev/nst0', made.reels.get('S00001L9')!);
  t.is((await first).barcode, 'S00001L9');
});
