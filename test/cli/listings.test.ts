import test from 'ava';
import type { DriveLine, JobLine, QueueLine, Status, VolumeLine } from '../../src/daemon/protocol.ts';
import { tableLines } from '../../src/cli/table.ts';
import { statusLines } from '../../src/cli/status.ts';
import { fakeDaemon } from '../fixtures/fake-daemon.ts';
import { hsm, jsonLines } from '../fixtures/hsm.ts';

const volume: VolumeLine = { barcode: '948324L8', pool: 'default', state: 'writable', reason: null, location: 'slot 3', capacity: 2 ** 40, used: 2 ** 30, live: 2 ** 29, objects: 1234 };
const drive: DriveLine = { name: 'drive0', state: 'busy', admin: 'up', reason: null, barcode: '948324L8', rate: 152_340_000 };
const request: QueueLine = {
  id: 'r12',
  path: '/data/\u001b[31m\ufffd',
  pathBase64: Buffer.from('/data/\u001b[31m\xe9', 'latin1').toString('base64'),
  state: 'restoring',
  volume: '948324L8',
  container: 3342,
  size: 1000,
  done: 255,
  position: 1,
  eta: 65,
  age: 5,
  priority: 0,
  reason: null,
  waiters: [
    { pid: 77, uid: 1000, exe: '/usr/bin/cat' },
    { pid: 78, uid: 1000, exe: null },
  ],
};
const job: JobLine = {
  id: 'j3',
  kind: 'archive',
  state: 'done',
  uid: 0,
  createdAt: '2026-03-01T12:00:00.000Z',
  startedAt: '2026-03-01T12:00:00.000Z',
  endedAt: '2026-03-01T12:34:56.000Z',
  spec: {},
  summary: { summary: true, archived: 5, released: 5, recalled: 0, bytes: 2048, skipped: { young: 2 }, failed: 0 },
  progress: null,
};
const status: Status = {
  daemon: { pid: 10, startedAt: '2026-03-01T12:00:00.000Z', version: '0.1.0' },
  keeper: { pid: 9 },
  filesystems: [{ path: '/data', type: 'xfs', guard: 'pre-access', stubs: 12_345, archived: 6, mounted: true, warning: null }],
  recalls: { queued: 1, active: 2, failed: 3 },
  drives: [drive],
  volumes: [volume, { ...volume, state: 'scratch', used: 0 }],
};

test('queue shows each request with its waiters, its name made harmless', async (t) => {
  const { config } = await fakeDaemon(t, { queue: async (_, call) => call.row(request) });
  const { stdout } = await hsm(['queue', '--config', config]);
  t.deepEqual(stdout.split('\n')[1]?.split(/ {2,}/), ['r12', 'restoring', '948324L8', '1', '1000 B', '25%', '1m 05s', '5s', '77 cat and 1 more', `$'/data/\\e[31m\\xe9'`, '-']);
  t.deepEqual(jsonLines((await hsm(['queue', '--json', '--config', config])).stdout), [JSON.parse(JSON.stringify(request))]);
});

test('an empty queue says so, and is nothing in JSON', async (t) => {
  const { config } = await fakeDaemon(t, { queue: async () => null });
  t.is((await hsm(['queue', '--config', config])).stdout, 'no recall is waiting');
  t.is((await hsm(['queue', '--json', '--config', config])).stdout, '');
});

test('jobs shows what became of each, and asks for as many as were wanted', async (t) => {
  let limit: unknown;
  const running: JobLine = { ...job, id: 'j4', state: 'running', endedAt: null, summary: null, progress: { phase: 'writing', files: 1, bytes: 1024, totalFiles: 2, totalBytes: 2048 } };
  const { config } = await fakeDaemon(t, {
    jobs: async (params, call) => {
      limit = params['limit'];
      await call.row(running);
      await call.row(job);
    },
  });
  const { stdout } = await hsm(['jobs', '--limit', '7', '--config', config]);
  t.is(limit, 7);
  t.regex(stdout, /j4 +archive +running +0 +2026-03-01 12:00 +- +writing: 1\/2 files, 1\.0 KiB of 2\.0 KiB\n/);
  t.regex(stdout, /j3 +archive +done +0 +2026-03-01 12:00 +2026-03-01 12:34 +archived 5 files, released 5 files \(2\.0 KiB\); skipped 2 files: 2 too young$/);
});

test('status is one JSON object, or lines for a person', async (t) => {
  const { config } = await fakeDaemon(t, { status: async () => status });
  t.deepEqual(jsonLines((await hsm(['status', '--json', '--config', config])).stdout), [JSON.parse(JSON.stringify(status))]);
  t.deepEqual(statusLines(status, Date.parse(status.daemon.startedAt) + 3_600_000), [
    'daemon       hsm 0.1.0, pid 10, up 1h 00m; keeper pid 9',
    'filesystem   /data (xfs, guarded on every access): 12,345 stubs, 6 archived',
    'recalls      1 queued, 2 active, 3 failed',
    'drive        drive0 busy, holds 948324L8, 152.3 MB/s',
    'volumes      1 writable, 1 scratch; 1.0 GiB of 2.0 TiB used',
  ]);
});

test('cancel sends id and errno, and fails when there is nothing to cancel', async (t) => {
  const asked: unknown[] = [];
  const { config } = await fakeDaemon(t, {
    cancel: async (params) => {
      asked.push(params);
      return { cancelled: params['id'] === 'r1' ? 1 : 0 };
    },
  });
  const good = await hsm(['cancel', 'r1', '--errno', 'EIO', '--config', config]);
  t.deepEqual([good.exitCode, good.stdout], [0, 'cancelled r1']);
  t.is((await hsm(['cancel', 'r2', '--config', config])).exitCode, 1);
  t.deepEqual(asked, [{ id: 'r1', errno: 'EIO' }, { id: 'r2' }]);
  t.is((await hsm(['cancel', '12', '--config', config])).exitCode, 2);
  t.is((await hsm(['cancel', 'j1', '--errno', 'EIO', '--config', config])).exitCode, 2);
});

test('tape ls, show and add speak of volumes', async (t) => {
  const asked: unknown[] = [];
  const { config } = await fakeDaemon(t, {
    tapes: async (_, call) => call.row(volume),
    tape: async (params, call) => {
      asked.push(params);
      await call.row(volume);
      await call.row({ object: 'aa', container: 1, offset: 2, size: 3, path: '/data/x' });
    },
    tapeAdd: async (params, call) => {
      asked.push(params);
      await call.row({ ...volume, barcode: 'NEW001L8' });
    },
  });
  t.deepEqual(jsonLines((await hsm(['tape', 'ls', '--json', '--config', config])).stdout), [JSON.parse(JSON.stringify(volume))]);
  t.regex((await hsm(['tape', 'ls', '--config', config])).stdout, /948324L8 +default +writable +slot 3 +1\.0 TiB +1\.0 GiB +512 MiB +1234 +- +-$/);
  t.regex((await hsm(['tape', 'show', '948324L8', '--config', config])).stdout, /\n\nCONTAINER +OFFSET +SIZE +OBJECT +PATH\n +1 +2 +3 B +aa +\/data\/x$/);
  await hsm(['tape', 'add', '--count', '3', '--pool', 'two', '--capacity', '1G', '--config', config]);
  await hsm(['tape', 'add', 'A1L8', 'A2L8', '--config', config]);
  t.deepEqual(asked, [{ barcode: '948324L8' }, { barcodes: [], count: 3, pool: 'two', capacity: 2 ** 30 }, { barcodes: ['A1L8', 'A2L8'], count: 2, pool: null, capacity: null }]);
  t.is((await hsm(['tape', 'add', 'lower', '--config', config])).exitCode, 2);
  t.is((await hsm(['tape', 'add', 'A1L8', '--count', '2', '--config', config])).exitCode, 2);
});

test('drive show tells what a drive has been through, and tape show the same of a volume', async (t) => {
  const counts = { mounts: 12, bytesRead: 3 * 2 ** 30, bytesWritten: 2 ** 40, loadErrors: 1, readErrors: 2, writeErrors: 3, softReadErrors: 40, softWriteErrors: 50, motionSeconds: 7200 };
  const use = { ...counts, firstUsedAt: '2026-01-02T03:04:05.000Z', lastUsedAt: '2026-03-04T05:06:07.000Z' };
  const { config } = await fakeDaemon(t, {
    drive: async ({ name }) => ({ ...drive, name, serial: 'SN1', use: name === 'drive0' ? use : null }),
    tape: async (_, call) => call.row({ ...volume, use }),
  });
  const lines = /use +12 mounts, 2026-01-02 to 2026-03-04; 3\.0 GiB read, 1\.0 TiB written, 2h 00m in motion\nerrors +1 loading, 2 reading, 3 writing; the drive got over 40 reading, 50 writing/;
  const shown = (await hsm(['drive', 'show', 'drive0', '--config', config])).stdout;
  t.regex(shown, /drive0 +up +busy +948324L8 +152\.3 MB\/s +-\nserial +SN1\n/);
  t.regex(shown, lines);
  t.regex((await hsm(['tape', 'show', '948324L8', '--config', config])).stdout, lines);
  t.regex((await hsm(['drive', 'show', 'drive1', '--config', config])).stdout, /use +none yet$/);
  const health = { at: '2026-03-04T05:06:07.000Z', moment: 'unloading', volume: '948324L8', alerts: [{ flag: 20, name: 'Cleaning required', severity: 'critical' }], readErrors: { corrected: 5 }, writeErrors: null, device: { loads: 300, cleanings: 2 } };
  const telling = await fakeDaemon(t, { drive: async () => ({ ...drive, serial: 'SN1', use, health }) });
  t.regex(
    (await hsm(['drive', 'show', 'drive0', '--config', telling.config])).stdout,
    /\ntold +2026-03-04T05:06:07.000Z, unloading, with 948324L8\nalerts +20 Cleaning required \(critical\)\nreading +corrected 5\ndrive +loads 300, cleanings 2$/,
  );
  t.deepEqual(jsonLines((await hsm(['drive', 'show', 'drive0', '--json', '--config', config])).stdout), [{ ...drive, serial: 'SN1', use }]);
});

test('drive ls, up and down speak of drives', async (t) => {
  const asked: unknown[] = [];
  const { config } = await fakeDaemon(t, {
    drives: async (_, call) => call.row(drive),
    setDrive: async (params) => {
      asked.push(params);
      return {};
    },
  });
  t.regex((await hsm(['drive', 'ls', '--config', config])).stdout, /drive0 +up +busy +948324L8 +152\.3 MB\/s +-$/);
  t.is((await hsm(['drive', 'down', 'drive0', '--reason', 'cleaning', '--config', config])).stdout, 'drive0 is down');
  t.is((await hsm(['drive', 'down', 'drive0', '--config', config])).exitCode, 2);
  await hsm(['drive', 'up', 'drive0', '--config', config]);
  t.deepEqual(asked, [
    { name: 'drive0', admin: 'down', reason: 'cleaning' },
    { name: 'drive0', admin: 'up', reason: null },
  ]);
});

test('verify lists what is damaged and then exits 1', async (t) => {
  const asked: unknown[] = [];
  let damaged = 1;
  const { config, folder } = await fakeDaemon(t, {
    verify: async (params, call) => {
      asked.push(params);
      if (damaged > 0) await call.row({ volume: '948324L8', container: 2, object: 'aa', path: '/data/x', reason: 'hash mismatch' });
      return { checked: 10, damaged };
    },
  });
  const bad = await hsm(['verify', '--tape', '948324L8', '--config', config]);
  t.deepEqual([bad.exitCode, bad.stdout], [1, 'damaged  948324L8, container 2: /data/x: hash mismatch\nchecked 10 objects, 1 is damaged']);
  damaged = 0;
  const good = await hsm(['verify', folder, '--json', '--config', config]);
  t.is(good.exitCode, 0);
  t.deepEqual(jsonLines(good.stdout), [{ summary: true, checked: 10, damaged: 0, repaired: 0 }]);
  t.deepEqual(asked, [{ tape: '948324L8' }, { paths: [folder] }]);
});

test('a table has a heading and columns as wide as they must be', (t) => {
  const rows = [
    { name: 'a', size: 5 },
    { name: 'longer\n', size: 12_345 },
  ];
  const columns = [
    { title: 'NAME', value: (row: { name: string }) => row.name },
    { title: 'SIZE', value: (row: { size: number }) => row.size, right: true },
    { title: 'NOTE', value: () => null },
  ];
  t.deepEqual(tableLines(rows, columns), ['NAME          SIZE  NOTE', 'a                5  -', `$'longer\\n'  12345  -`]);
});
