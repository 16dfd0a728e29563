import { join } from 'node:path';
import test from 'ava';
import { createVirtualLibrary } from '../../src/library/create-library.ts';
import { DrivePool } from '../../src/library/drive-pool.ts';
import { openVirtualLibrary } from '../../src/library/virtual-library.ts';
import type { RecallRequest } from '../../src/recall/requests.ts';
import type { RestoreContext } from '../../src/recall/restorer.ts';
import { VolumeService, type RecallDrives } from '../../src/recall/volume-service.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';
import { until } from '../fixtures/until.ts';

const request = (id: number, volume: string, priority: number): RecallRequest =>
  ({ id, createdAt: Date.now(), priority, owner: 'x', waiters: new Map([[id, {}]]), interests: [], copies: [{ volume, container: 1, startBlock: 2, offset: 0, length: 10 }], state: 'queued', record: { size: 10 } }) as unknown as RecallRequest;

test('a volume that is read in bulk gets on while a reader waits for one that somebody else uses', async (t) => {
  const folder = join(await temporaryFolder(t), 'library');
  const [a = '', b = ''] = (await createVirtualLibrary(folder, { drives: 2, cartridges: 2, capacity: 1e9, timing: 'none' })).map(({ barcode }) => barcode);
  const library = await openVirtualLibrary(folder, {});
  const drives = await DrivePool.open(library);
  const reached: number[] = [];
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  // Requests end at the first step of their restore: their filesystem is none.
  const context = { filesystems: [], failed: ({ id }: RecallRequest) => void reached.push(id) } as unknown as RestoreContext;
  const service = new VolumeService({ drives, settings: { batchWindowMs: 0, turnMs: 900_000, share: 64, mountSeconds: 60 }, modelOf: () => null, geometryOf: async () => null, log, context });
  const { promise: written, resolve: endOfWriting } = Promise.withResolvers<void>();
  await drives.withVolume(a, 'read', 'bulk', async () => undefined);
  const writing = drives.withVolume(b, 'write', 'archive', () => written);
  const bulk = request(2, a, 50);
  service.add(request(1, b, 100));
  service.add(bulk);
  // Were it given its drive and taken from it again and again, no timer would ever fire.
  const passed = await new Promise<boolean>((resolve) => {
    const look = (left: number): void => {
      if (reached.includes(2) || left === 0) resolve(left > 0);
      else setTimeout(look, 1, left - 1);
    };
    look(5000);
  });
  t.true(passed);
  endOfWriting();
  await writing;
  await service.stop();
  await drives.close();
  await library.close();
});

test('when nobody wants a volume any more, the wait for the hand that puts it in ends; who asks again is served', async (t) => {
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const failed: number[] = [];
  const loads: AbortSignal[] = [];
  const drives: RecallDrives = {
    withVolume: (_barcode, _purpose, _priority, _use, options) => {
      options?.granted?.('drive0');
      const signal = options?.loading ?? new AbortController().signal;
      loads.push(signal);
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }));
    },
    contended: () => false,
    loaded: [],
    readable: 1,
    usable: ['drive0'],
    onChange: () => undefined,
  };
  const context = { filesystems: [], failed: ({ id }: RecallRequest) => void failed.push(id) } as unknown as RestoreContext;
  const service = new VolumeService({ drives, settings: { batchWindowMs: 0, turnMs: 900_000, share: 64, mountSeconds: 60 }, modelOf: () => null, geometryOf: async () => null, log, context });
  const [first, second, third] = [request(1, 'V1', 100), request(2, 'V1', 100), request(3, 'V1', 100)];
  service.add(first);
  service.add(second);
  await until(() => loads.length === 1);
  service.remove(first);
  t.false(loads[0]?.aborted);
  service.remove(second);
  t.true(loads[0]?.aborted);
  service.add(third);
  await until(() => loads.length === 2);
  t.false(loads[1]?.aborted);
  t.deepEqual(failed, []);
  service.remove(third);
  await service.stop();
});
