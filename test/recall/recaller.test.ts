import { closeSync, openSync, readFileSync, renameSync, statSync, truncateSync, unlinkSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { native } from '../../src/native/index.ts';
import { classify, readInode } from '../../src/recall/classify.ts';
import type { RecallFailure } from '../../src/recall/requests.ts';
import { stubXattr } from '../../src/stub.ts';
import { filesystemTypes, kernelTest } from '../fixtures/loopfs.ts';
import { recallBench, type RecallBench } from '../fixtures/recall-bench.ts';
import { until } from '../fixtures/until.ts';

const realTest = kernelTest(test);
const mib = 2 ** 20;

/** A rule that fits everybody. */
const anyone = { programs: [], uids: [], gids: [], cgroups: [], per: 'user', concurrent: null, filesPerHour: null, bytesPerHour: null } as const;

/** All files as a job wants them; resolves with how each ended. */
async function recallAll(bench: RecallBench, names: readonly string[], job = 1): Promise<Map<string, RecallFailure | null>> {
  const ended = new Map<string, RecallFailure | null>();
  await new Promise<void>((resolve) => {
    const wanted = names.map((name) => {
      const path = join(bench.mount, name);
      const interest = {
        job,
        relPath: Buffer.from(name),
        ended: (failure: RecallFailure | null) => {
          ended.set(name, failure);
          if (ended.size === names.length) resolve();
        },
      };
      return { filesystem: 0, ino: statSync(path).ino, bytes: native.getxattr(path, stubXattr) ?? Buffer.alloc(64), path, interest, ahead: null };
    });
    void bench.recaller.want(wanted);
  });
  return ended;
}

for (const type of filesystemTypes) {
  realTest(`on ${type} readers go on when their files are whole again, times kept`, async (t) => {
    const sizes = { one: 1, edge: 4096, odd: 4097, small: 70_001, big: 5 * mib + 3 };
    const bench = await recallBench(t, sizes, { type });
    t.true(Object.keys(sizes).every((name) => bench.isStub(name)));
    const answers = await Promise.all(Object.keys(sizes).map((name) => bench.open(name).answer));
    t.deepEqual(answers, [null, null, null, null, null]);
    t.true(Object.keys(sizes).every((name) => bench.isWhole(name)));
    await bench.recaller.stop();
    for (const name of Object.keys(sizes)) t.is(await bench.state(name), 'archived');
  });
}

realTest('all who wait for one file share its recall', async (t) => {
  const bench = await recallBench(t, { file: 3 * mib });
  const readers = Array.from({ length: 50 }, (_, pid) => bench.open('file', pid));
  const rows = bench.recaller.rows(null);
  t.is(rows.length, 1);
  t.is(rows[0]?.waiters.length, 50);
  t.deepEqual(new Set(await Promise.all(readers.map(({ answer }) => answer))), new Set([null]));
  t.true(bench.isWhole('file'));
  t.deepEqual(bench.recaller.rows(null), []);
});

realTest('another user sees no row of the queue that is not his own', async (t) => {
  const bench = await recallBench(t, { file: 10 });
  const reader = bench.open('file');
  t.is(bench.recaller.rows(1000).length, 1);
  t.is(bench.recaller.rows(1001).length, 0);
  t.false(bench.recaller.cancel(1, 'EPERM', 1001));
  t.is(await reader.answer, null);
});

realTest('wrong bytes on tape are EIO, and the stub stays a stub', async (t) => {
  const bench = await recallBench(t, { file: 3 * mib });
  await bench.drives.setDrive('drive1', 'down', null);
  bench.faults.flipBit(2, 4000);
  t.is(await bench.open('file').answer, 'EIO');
  t.true(bench.isStub('file'));
  t.like(bench.recaller.rows(null)[0], { state: 'failed' });
  t.is(await bench.open('file').answer, null, 'a second try reads the tape again');
  t.true(bench.isWhole('file'));
});

realTest('what fails in one drive is read in another, and only then from another copy', async (t) => {
  const bench = await recallBench(t, { a: 3 * mib, b: mib, c: mib }, { copies: 2 });
  bench.faults.failNth('read', 2);
  const [first = '', second = ''] = bench.copies;
  t.deepEqual(await Promise.all(['a', 'b', 'c'].map((name) => bench.open(name).answer)), [null, null, null]);
  t.true(['a', 'b', 'c'].every((name) => bench.isWhole(name)));
  const { drives } = bench;
  t.deepEqual(drives.states.map(({ barcode }) => barcode), [null, first], 'it went back from the drive that it failed in');
  t.false(drives.loaded.includes(second));
});

realTest('a volume that fails in every drive is EIO, and not tried for ever', async (t) => {
  const bench = await recallBench(t, { file: 3 * mib });
  for (let n = 1; n <= 20; n += 1) bench.faults.failNth('read', n);
  t.is(await bench.open('file').answer, 'EIO');
  t.true(bench.isStub('file'));
});

realTest('a copy that cannot be read is replaced by the next one', async (t) => {
  for (const fault of ['flip', 'short', 'read', 'load', 'move'] as const) {
    const bench = await recallBench(t, { file: 3 * mib }, { copies: 2 });
    if (fault === 'flip') bench.faults.flipBit(2, 4000);
    else if (fault === 'short') bench.faults.shortRead(1);
    else bench.faults.failNth(fault, 1);
    t.is(await bench.open('file').answer, null, fault);
    t.true(bench.isWhole('file'), fault);
  }
});

realTest('whichever operation of the volume fails, a reader gets the file or an errno and never a partial one', async (t) => {
  let whole = 0;
  let refused = 0;
  for (const operation of ['read', 'locate', 'load', 'move'] as const) {
    for (let n = 1; n <= 6; n += 1) {
      const bench = await recallBench(t, { a: 2 * mib + 1, b: 5000, c: mib });
      bench.faults.failNth(operation, n);
      const answers = await Promise.all(['a', 'b', 'c'].map((name) => bench.open(name).answer));
      ['a', 'b', 'c'].forEach((name, index) => {
        if (answers[index] === null) {
          t.true(bench.isWhole(name), `${operation} ${n} ${name}`);
          whole += 1;
        } else {
          t.true(bench.isStub(name), `${operation} ${n} ${name} ${answers[index]}`);
          refused += 1;
        }
      });
    }
  }
  t.true(whole > 0 && refused > 0);
});

realTest('a job gets its files in bulk, and says what could not be had', async (t) => {
  const names = Array.from({ length: 700 }, (_, index) => `f${index}`);
  const bench = await recallBench(t, Object.fromEntries(names.map((name, index) => [name, index * 7 + 1])));
  unlinkSync(join(bench.mount, 'f5'));
  writeFileSync(join(bench.mount, 'f5'), 'another file of this name');
  const without = names.filter((name) => name !== 'f5');
  const ended = await recallAll(bench, without);
  t.true([...ended.values()].every((failure) => failure === null));
  t.true(without.every((name) => bench.isWhole(name)));
});

realTest('a full filesystem is ENOSPC, and a retry works when there is room', async (t) => {
  const bench = await recallBench(t, { file: 30 * mib }, { sizeMiB: 48 });
  const filler = join(bench.mount, 'filler');
  t.throws(() => writeFileSync(filler, Buffer.alloc(64 * mib, 1)), { code: 'ENOSPC' });
  t.is(await bench.open('file').answer, 'ENOSPC');
  t.true(bench.isStub('file'));
  unlinkSync(filler);
  t.is(await bench.open('file').answer, null);
  t.true(bench.isWhole('file'));
});

realTest('a request whose only waiter is killed is dropped', async (t) => {
  const bench = await recallBench(t, { file: 8 * mib });
  const unlock = bench.locks.tryLock(statSync(join(bench.mount, 'file')).ino);
  const reader = bench.open('file');
  await sleep(20);
  bench.recaller.onGone(reader.id);
  unlock?.();
  await bench.recaller.stop();
  t.true(bench.isStub('file'));
  t.deepEqual(bench.recaller.rows(null), []);
});

realTest('a cancelled request sends its readers away with the errno that the operator chose', async (t) => {
  const bench = await recallBench(t, { file: 8 * mib });
  const unlock = bench.locks.tryLock(statSync(join(bench.mount, 'file')).ino);
  const reader = bench.open('file');
  await sleep(20);
  t.true(bench.recaller.cancel(1, 'EBUSY', null));
  unlock?.();
  t.is(await reader.answer, 'EBUSY');
  t.true(bench.isStub('file'));
});

realTest('while all drives are down readers wait, and can be cancelled; a stop ends the wait', async (t) => {
  const bench = await recallBench(t, { a: mib, b: mib, c: mib });
  const setAll = async (admin: 'up' | 'down'): Promise<void> => {
    for (const { name } of bench.drives.states) await bench.drives.setDrive(name, admin, 'cleaning');
  };
  await setAll('down');
  const [a, b] = ['a', 'b'].map((name) => bench.open(name));
  await sleep(50);
  t.like(bench.recaller.rows(null)[0], { state: 'queued', position: 1 });
  t.regex(bench.recaller.rows(null)[0]?.reason ?? '', /drive0 down \(cleaning\)/);
  t.true(bench.recaller.cancel(2, 'EBUSY', null));
  t.is(await b?.answer, 'EBUSY');
  await setAll('up');
  t.is(await a?.answer, null);
  t.true(bench.isWhole('a') && bench.isStub('b'));
  await setAll('down');
  const c = bench.open('c');
  await sleep(50);
  await bench.recaller.stop();
  t.is(await c.answer, 'EAGAIN');
});

realTest('a drive that goes down gives its volume to the other one', async (t) => {
  const bench = await recallBench(t, { a: mib, b: mib });
  t.is(await bench.open('a').answer, null);
  const holder = bench.drives.states.find(({ barcode }) => barcode !== null)?.name ?? '';
  await bench.drives.setDrive(holder, 'down', 'cleaning');
  t.is(await bench.open('b').answer, null);
  t.true(bench.isWhole('b'));
});

realTest('while recalls are paused readers wait with the reason, and go on afterwards', async (t) => {
  for (const pause of [{ kind: 'all' }, { kind: 'user', uid: 1000 }, { kind: 'drive', name: 'drive0' }] as const) {
    const bench = await recallBench(t, { file: mib });
    if (pause.kind === 'drive') await bench.drives.setDrive('drive1', 'down', 'test');
    bench.recaller.pause(pause, 'for a while');
    t.like(bench.recaller.pauses[0], { pause, reason: 'for a while' });
    const reader = bench.open('file');
    await until(() => bench.recaller.rows(null)[0]?.volume !== undefined);
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    t.true(bench.isStub('file'));
    if (pause.kind !== 'drive') t.regex(bench.recaller.rows(null)[0]?.reason ?? '', /paused: for a while/);
    t.true(bench.recaller.resume(pause));
    t.false(bench.recaller.resume(pause));
    t.is(await reader.answer, null);
    t.true(bench.isWhole('file'));
  }
});

realTest('a user who is paused while his recalls wait for a drive keeps nobody else waiting', async (t) => {
  const bench = await recallBench(t, { his: mib, other: mib });
  bench.recaller.pause({ kind: 'all' }, null);
  const [his, other] = [bench.open('his', 1), bench.open('other', 1, 1001)];
  await until(() => bench.recaller.rows(null).every(({ reason }) => reason !== null));
  bench.recaller.pause({ kind: 'user', uid: 1000 }, 'too many');
  bench.recaller.resume({ kind: 'all' });
  t.is(await other.answer, null);
  t.true(bench.isStub('his'));
  t.like(bench.recaller.rows(null)[0], { state: 'queued', position: null, reason: 'recalls of user 1000 are paused: too many' });
  t.true(bench.recaller.cancel(1, 'EPERM', null));
  t.is(await his.answer, 'EPERM');
  t.deepEqual(bench.recaller.rows(null).map(({ state }) => state), ['failed']);
});

realTest('whom a rule refuses gets EPERM and no tape moves, also for a file that another one waits for', async (t) => {
  const limits = [{ ...anyone, name: 'guests', action: 'deny', uids: [{ first: 2000, last: 2999 }] }] as const;
  const bench = await recallBench(t, { file: mib, other: mib }, { gate: { limits } });
  t.is(await bench.open('other', 1, 2500).answer, 'EPERM');
  bench.recaller.pause({ kind: 'all' }, null);
  const reader = bench.open('file');
  t.is(await bench.open('file', 1, 2000).answer, 'EPERM');
  bench.recaller.resume({ kind: 'all' });
  t.is(await reader.answer, null);
  t.true(bench.isStub('other'));
  t.like(bench.recaller.counts(), { refused: { guests: 2 }, waiting: 0 });
});

realTest('beyond a limit readers wait or get EAGAIN, and who waits is served in turn', async (t) => {
  const names = Array.from({ length: 12 }, (_, index) => `f${index}`);
  const files = Object.fromEntries(names.map((name) => [name, 5000]));
  const delay = { ...anyone, name: 'slow', action: 'delay', concurrent: 2 } as const;
  const bench = await recallBench(t, files, { gate: { limits: [delay] } });
  bench.recaller.pause({ kind: 'all' }, null);
  const readers = names.map((name) => bench.open(name));
  await until(() => bench.recaller.counts().waiting === 10);
  t.is(bench.recaller.rows(null).filter(({ reason }) => reason === 'rule slow: 2 recalls at a time').length, 10);
  bench.recaller.cancel(12, 'EBUSY', null);
  bench.recaller.resume({ kind: 'all' });
  t.deepEqual(await Promise.all(readers.map(({ answer }) => answer)), [...names.slice(1).map(() => null), 'EBUSY']);
  t.true(names.slice(0, 11).every((name) => bench.isWhole(name)) && bench.isStub('f11'));
  const strict = await recallBench(t, files, { gate: { limits: [{ ...delay, action: 'fail' }] } });
  const lock = strict.locks.tryLock(statSync(join(strict.mount, 'f0')).ino);
  const [first] = ['f0', 'f1'].map((name) => strict.open(name));
  t.is(await strict.open('f2').answer, 'EAGAIN');
  lock?.();
  t.is(await first?.answer, null);
  t.true(strict.isStub('f2'));
});

realTest('what one user\'s limit holds back another user gets', async (t) => {
  const limits = [{ ...anyone, name: 'slow', action: 'delay', concurrent: 1, uids: [{ first: 1000, last: 1000 }] }] as const;
  const bench = await recallBench(t, { first: mib, second: mib }, { gate: { limits } });
  const lock = bench.locks.tryLock(statSync(join(bench.mount, 'first')).ino);
  const [first, second] = ['first', 'second'].map((name) => bench.open(name));
  await until(() => bench.recaller.counts().waiting === 1);
  const other = bench.open('second', 1, 1001);
  await until(() => bench.recaller.counts().waiting === 0);
  lock?.();
  t.deepEqual([await first?.answer, await second?.answer, await other.answer], [null, null, null]);
});

realTest('a recall waits for room and goes on when there is some', async (t) => {
  const bench = await recallBench(t, { file: 30 * mib, small: mib }, { sizeMiB: 64, gate: { waitMs: 3_600_000 } });
  const filler = join(bench.mount, 'filler');
  t.throws(() => writeFileSync(filler, Buffer.alloc(64 * mib, 1)), { code: 'ENOSPC' });
  const [reader, gone] = [bench.open('file'), bench.open('small')];
  await until(() => bench.recaller.rows(null).every(({ reason }) => reason?.startsWith('no room on') === true));
  bench.recaller.onGone(gone.id);
  t.true(bench.isStub('file') && bench.isStub('small'));
  unlinkSync(filler);
  t.is(await reader.answer, null);
  t.true(bench.isWhole('file'));
});

realTest('a storm is seen, logged, and ended by sending its user away', async (t) => {
  const names = Array.from({ length: 40 }, (_, index) => `f${index}`);
  const bench = await recallBench(t, Object.fromEntries([...names, 'other'].map((name) => [name, 5000])), { gate: { stormFiles: 30 } });
  bench.recaller.pause({ kind: 'all' }, null);
  const readers = names.map((name) => bench.open(name, 1, 2000));
  const other = bench.open('other');
  t.like(bench.recaller.counts().storms, [{ uid: 2000, exe: '/bin/cat', requests: 40 }]);
  await until(() => bench.recaller.rows(null).every(({ position }) => position !== null));
  t.is(bench.recaller.cancelAll('EPERM', { uid: 2000, volume: null }), 40);
  t.deepEqual(new Set(await Promise.all(readers.map(({ answer }) => answer))), new Set(['EPERM']));
  t.deepEqual(bench.recaller.counts().storms, []);
  bench.recaller.resume({ kind: 'all' });
  t.is(await other.answer, null);
  t.true(names.every((name) => bench.isStub(name)));
  const logged = async (): Promise<string[]> => (await bench.catalog.events(10)).map(({ kind }) => kind);
  await until(async () => (await logged()).length === 2);
  t.deepEqual((await logged()).sort(), ['recall-storm', 'recall-storm-over']);
});

realTest('a held volume is not read, and what has a copy elsewhere waits all the same', async (t) => {
  const bench = await recallBench(t, { file: mib }, { copies: 2 });
  const volume = bench.copies[0] ?? '';
  bench.recaller.pause({ kind: 'volume', name: volume }, null);
  const reader = bench.open('file');
  await until(() => bench.recaller.rows(null)[0]?.reason === `${volume} is held`);
  t.true(bench.isStub('file'));
  bench.recaller.resume({ kind: 'volume', name: volume });
  t.is(await reader.answer, null);
});

realTest('a better priority is served first, and an operator\'s priority stays when others join', async (t) => {
  const bench = await recallBench(t, { a: mib, b: mib, c: mib });
  bench.recaller.pause({ kind: 'all' }, null);
  const readers = ['a', 'b', 'c'].map((name) => bench.open(name));
  await until(() => bench.recaller.rows(null).filter(({ position }) => position !== null).length === 3);
  t.true(bench.recaller.setPriority(3, 200));
  t.true(bench.recaller.setPriority(1, 10));
  t.false(bench.recaller.setPriority(99, 10));
  const again = bench.open('a');
  t.deepEqual(bench.recaller.rows(null).map(({ id }) => id), ['r3', 'r2', 'r1']);
  bench.recaller.resume({ kind: 'all' });
  t.deepEqual(await Promise.all([...readers, again].map(({ answer }) => answer)), [null, null, null, null]);
});

realTest('a failed recall that cannot be tried again stays among those that failed', async (t) => {
  const bench = await recallBench(t, { file: mib });
  await bench.drives.setDrive('drive1', 'down', null);
  bench.faults.flipBit(2, 4000);
  t.is(await bench.open('file').answer, 'EIO');
  renameSync(join(bench.mount, 'file'), join(bench.mount, 'elsewhere'));
  await t.throwsAsync(bench.recaller.retry(1), { code: 'ENOENT' });
  t.like(bench.recaller.rows(null), [{ id: 'r1', state: 'failed' }]);
  renameSync(join(bench.mount, 'elsewhere'), join(bench.mount, 'file'));
  t.true(await bench.recaller.retry(1));
});

realTest('a user who is sent away from all that he waits for takes nobody with him', async (t) => {
  const bench = await recallBench(t, { shared: 5000, own: 5000 });
  const { recaller } = bench;
  recaller.pause({ kind: 'all' }, null);
  const [anna, annasOwn, bob] = [bench.open('shared', 1, 1000), bench.open('own', 2, 1000), bench.open('shared', 3, 1001)];
  t.is(recaller.cancelAll('EPERM', { uid: 1000, volume: bench.copies[0] ?? '' }), 2);
  t.is(recaller.cancelAll('EPERM', { uid: null, volume: 'OTHER' }), 0);
  recaller.resume({ kind: 'all' });
  t.deepEqual([await anna.answer, await annasOwn.answer, await bob.answer], ['EPERM', 'EPERM', null]);
});

realTest('a failed recall is tried again on demand, without anybody who waits', async (t) => {
  const bench = await recallBench(t, { file: mib });
  await bench.drives.setDrive('drive1', 'down', null);
  bench.faults.flipBit(2, 4000);
  t.is(await bench.open('file').answer, 'EIO');
  t.false(await bench.recaller.retry(99));
  t.true(await bench.recaller.retry(1));
  await until(() => !bench.isStub('file') && bench.recaller.rows(null).length === 0);
  t.true(bench.isWhole('file'));
  t.false(await bench.recaller.retry(1), 'once');
});

realTest('a job that ends hears of a file under way when it is put back, and not before', async (t) => {
  const bench = await recallBench(t, { file: 8 * mib });
  const unlock = bench.locks.tryLock(statSync(join(bench.mount, 'file')).ino);
  let ended: Map<string, RecallFailure | null> | null = null;
  const recalled = recallAll(bench, ['file'], 7).then((map) => (ended = map));
  const isUnderWay = (): boolean => bench.recaller.rows(null).some(({ state, position }) => state === 'loading' && position === null);
  while (!isUnderWay()) await sleep(5);
  bench.recaller.dropJob(7);
  t.is(ended, null);
  unlock?.();
  t.like((await recalled).get('file'), { code: 'EINTR' });
  t.true(bench.isStub('file'));
  t.deepEqual(bench.recaller.rows(null), []);
});

realTest('a stop sends everybody away with EAGAIN and leaves stubs', async (t) => {
  const bench = await recallBench(t, { a: 8 * mib, b: 8 * mib });
  const unlock = bench.locks.tryLock(statSync(join(bench.mount, 'a')).ino);
  const readers = ['a', 'b'].map((name) => bench.open(name));
  await sleep(20);
  const stopped = bench.recaller.stop();
  unlock?.();
  await stopped;
  t.deepEqual(await Promise.all(readers.map(({ answer }) => answer)), ['EAGAIN', 'EAGAIN']);
  t.true(bench.isStub('a') && bench.isStub('b'));
  t.is(await bench.open('a').answer, 'EAGAIN');
});

realTest('a configured time limit ends a wait with EAGAIN', async (t) => {
  const bench = await recallBench(t, { file: mib }, { timeoutS: 0.05 });
  const unlock = bench.locks.tryLock(statSync(join(bench.mount, 'file')).ino);
  const reader = bench.open('file');
  await sleep(100);
  unlock?.();
  t.is(await reader.answer, 'EAGAIN');
});

realTest('an object that the catalogue does not know is EIO', async (t) => {
  const bench = await recallBench(t, { file: 1000 });
  for (const barcode of bench.copies) await bench.catalog.setVolume(barcode, { state: 'failed', reason: 'test' });
  t.is(await bench.open('file').answer, 'EIO');
  t.true(bench.isStub('file'));
  t.regex(bench.recaller.rows(null)[0]?.reason ?? '', /no usable copy/);
});

realTest('a copy that carries the record of another file keeps its own data', async (t) => {
  const bench = await recallBench(t, { file: 1000 });
  const copy = join(bench.mount, 'copy');
  writeFileSync(copy, Buffer.alloc(1000, 'c'));
  native.setxattr(copy, stubXattr, native.getxattr(join(bench.mount, 'file'), stubXattr) ?? Buffer.alloc(0));
  t.is(await bench.open('copy').answer, null);
  t.is(native.getxattr(copy, stubXattr), null);
  t.deepEqual(bench.isStub('file'), true);
});

realTest('the recall of a file whose recall was cut short gives it the mtime that it had before both', async (t) => {
  const bench = await recallBench(t, { file: 3 * mib, small: 2000 });
  for (const name of ['file', 'small']) {
    const fd = openSync(join(bench.mount, name), 'r+');
    writeSync(fd, Buffer.alloc(1000, 1), 0, 1000, 0);
    closeSync(fd);
    t.is(await bench.open(name).answer, null);
    t.true(bench.isWhole(name), name);
  }
});

realTest('a hollow copy carries a record of its own before any data comes: half of it must never count as resident', async (t) => {
  const bench = await recallBench(t, { file: 3 * mib });
  const copy = join(bench.mount, 'copy');
  writeFileSync(copy, '');
  truncateSync(copy, 3 * mib);
  const foreign = native.getxattr(join(bench.mount, 'file'), stubXattr) ?? Buffer.alloc(0);
  native.setxattr(copy, stubXattr, foreign);
  await bench.drives.setDrive('drive1', 'down', null);
  bench.faults.failNth('read', 2);
  t.is(await bench.open('copy').answer, 'EIO');
  const fd = openSync(copy, 'r+');
  writeSync(fd, 'half', 0);
  t.like(classify(readInode(fd)), { kind: 'stub', own: true });
  closeSync(fd);
  t.is(await bench.open('copy').answer, null);
  t.deepEqual(readFileSync(copy), bench.contents.get('file'));
  t.is(native.getxattr(copy, stubXattr), null);
  t.true(bench.isStub('file'));
});

realTest('what is on the shelf is waited for, the operator is asked, and goes on when it is back', async (t) => {
  const bench = await recallBench(t, { file: mib, other: 5000 });
  const [{ barcode } = { barcode: '' }] = await bench.catalog.volumes();
  await bench.catalog.exportVolume(barcode);
  const readers = [bench.open('file'), bench.open('other')];
  await until(() => bench.recaller.rows(null).filter(({ reason }) => reason !== null).length === 2);
  for (const row of bench.recaller.rows(null)) t.like(row, { state: 'queued', reason: `${barcode} is on the shelf: put it in, then hsm tape import ${barcode}` });
  t.false(bench.recaller.wants(barcode), 'nobody is about to read it');
  await until(async () => (await bench.catalog.events(10)).filter(({ kind }) => kind === 'volume-wanted').length === 1);
  const cancelled = bench.recaller.rows(null).find(({ path }) => path.endsWith('other'))!;
  t.true(bench.recaller.cancel(Number(cancelled.id.slice(1)), 'EAGAIN', null));
  t.is(await readers[1]!.answer, 'EAGAIN');
  await bench.catalog.importVolume(barcode);
  await bench.recaller.volumeIsBack();
  t.is(await readers[0]!.answer, null);
  t.true(bench.isWhole('file'));
});

realTest('a reader who joins a job gets the file that he opened, though its name is another one\'s by then', async (t) => {
  const bench = await recallBench(t, { hold: 1000, one: 100_000 });
  const path = join(bench.mount, 'one');
  // The volume is being read, and another file of it takes its time.
  const unlock = await bench.locks.lock(statSync(join(bench.mount, 'hold')).ino);
  const held = bench.open('hold');
  await until(() => bench.drives.states.some(({ state }) => state === 'busy') && bench.recaller.rows(null)[0]?.position === null);
  const job = recallAll(bench, ['one']);
  await until(() => bench.recaller.rows(null).some(({ path: each, state }) => each === path && state === 'loading'));
  const reader = bench.open('one', 2, 1001);
  renameSync(path, join(bench.mount, 'moved'));
  writeFileSync(path, 'another file');
  unlock();
  t.is(await held.answer, null);
  const answer = await reader.answer;
  t.true(answer !== null || !bench.isStub('moved'), 'whoever is let go on has a whole file before him');
  t.is(answer, null);
  t.is(readFileSync(join(bench.mount, 'moved')).compare(bench.contents.get('one')!), 0);
  t.is(readFileSync(path, 'utf8'), 'another file');
  t.is((await job).get('one'), null);
});

realTest('a user who cancels sends nobody else away, and sees nobody else wait', async (t) => {
  const bench = await recallBench(t, { file: 10_000 });
  const unlock = await bench.locks.lock(statSync(join(bench.mount, 'file')).ino);
  const anna = bench.open('file', 1, 1000);
  const bob = bench.open('file', 2, 1001);
  t.deepEqual(bench.recaller.rows(1001).map(({ waiters }) => waiters.map(({ pid }) => pid)), [[2]]);
  const id = Number(bench.recaller.rows(null)[0]?.id.slice(1));
  t.true(bench.recaller.cancel(id, 'EIO', 1001));
  t.is(await bob.answer, 'EIO');
  t.false(bench.recaller.cancel(id, 'EIO', 1001));
  unlock();
  t.is(await anna.answer, null);
  t.true(bench.isWhole('file'));
});

realTest('a pause holds back what only paused users wait for', async (t) => {
  const bench = await recallBench(t, { shared: 5000, wanted: 5000, own: 5000 });
  const { recaller } = bench;
  recaller.pause({ kind: 'all' }, null);
  const annaShares = bench.open('shared', 1, 1000);
  const bobShares = bench.open('shared', 2, 1001);
  const annaWants = bench.open('wanted', 3, 1000);
  const annaOwns = bench.open('own', 4, 1000);
  recaller.pause({ kind: 'user', uid: 1000 }, 'later');
  const job = recallAll(bench, ['wanted']);
  recaller.resume({ kind: 'all' });
  t.deepEqual([await annaShares.answer, await bobShares.answer], [null, null], 'who is not paused gets the file, and so do all who wait for it');
  t.deepEqual([(await job).get('wanted'), await annaWants.answer], [null, null], 'a job gets it, too');
  t.true(bench.isStub('own'));
  t.deepEqual(recaller.rows(null).map(({ reason }) => reason), ['recalls of user 1000 are paused: later']);
  recaller.resume({ kind: 'user', uid: 1000 });
  t.is(await annaOwns.answer, null);
});

realTest('a paused user who looks at a file keeps nobody else waiting for it', async (t) => {
  const bench = await recallBench(t, { file: 5000 });
  const { recaller } = bench;
  recaller.pause({ kind: 'user', uid: 1001 }, null);
  recaller.pause({ kind: 'all' }, null);
  const anna = bench.open('file', 1, 1000);
  const bob = bench.open('file', 2, 1001);
  recaller.onGone(bob.id);
  recaller.resume({ kind: 'all' });
  t.is(await anna.answer, null);
});

realTest('what is paused takes no place under a limit', async (t) => {
  const limit = { name: 'two', programs: [], uids: [], gids: [], cgroups: [], per: 'program', concurrent: 1, filesPerHour: null, bytesPerHour: null, action: 'delay' } as const;
  const bench = await recallBench(t, { one: 5000, two: 5000 }, { gate: { limits: [limit], defaultLimits: false } });
  const { recaller } = bench;
  recaller.pause({ kind: 'all' }, null);
  const anna = bench.open('one', 1, 1000);
  await until(() => recaller.rows(null).some(({ position }) => position !== null));
  const bob = bench.open('two', 2, 1001);
  await until(() => recaller.rows(null).some(({ reason }) => reason?.startsWith('rule two') === true));
  recaller.pause({ kind: 'user', uid: 1000 }, null);
  recaller.resume({ kind: 'all' });
  t.is(await bob.answer, null);
  recaller.resume({ kind: 'user', uid: 1000 });
  t.is(await anna.answer, null);
});

realTest('what two wait for under limits of their own is let through by whoever may first, and again by who is left', async (t) => {
  const limit = { ...anyone, name: 'one', action: 'delay', concurrent: 1 } as const;
  const bench = await recallBench(t, { annas: 5000, bobs: 5000, both: 5000 }, { gate: { limits: [limit] } });
  const { recaller } = bench;
  recaller.pause({ kind: 'all' }, null);
  const rowOf = (name: string) => recaller.rows(null).find(({ path }) => path.endsWith(name));
  const annas = bench.open('annas', 1, 1000);
  const bobs = bench.open('bobs', 2, 1001);
  await until(() => rowOf('annas')?.position !== null && rowOf('bobs')?.position !== null);
  const both = bench.open('both', 3, 1000);
  await until(() => recaller.counts().waiting === 1);
  const bobToo = bench.open('both', 4, 1001);
  t.is(recaller.counts().waiting, 1);
  recaller.onGone(bobs.id);
  await until(() => recaller.counts().waiting === 0);
  const bobAgain = bench.open('bobs', 2, 1001);
  await until(() => rowOf('bobs')?.reason === 'rule one: 1 recalls at a time');
  recaller.onGone(bobToo.id);
  t.is(rowOf('both')?.reason, 'rule one: 1 recalls at a time', 'it was for him that it might go');
  await until(() => rowOf('bobs')?.position !== null);
  recaller.resume({ kind: 'all' });
  t.deepEqual([await annas.answer, await both.answer, await bobAgain.answer], [null, null, null]);
});

realTest('what a job wants waits for no limit, and does again when the job is over', async (t) => {
  const limit = { ...anyone, name: 'one', action: 'delay', concurrent: 1 } as const;
  const bench = await recallBench(t, { first: 5000, second: 5000 }, { gate: { limits: [limit] } });
  const { recaller } = bench;
  recaller.pause({ kind: 'all' }, null);
  const first = bench.open('first');
  await until(() => recaller.rows(null)[0]?.position !== null);
  const second = bench.open('second');
  await until(() => recaller.counts().waiting === 1);
  const job = recallAll(bench, ['second'], 7);
  t.is(recaller.counts().waiting, 0);
  recaller.dropJob(7);
  t.like((await job).get('second'), { code: 'EINTR' });
  t.is(recaller.counts().waiting, 1);
  recaller.resume({ kind: 'all' });
  t.deepEqual([await first.answer, await second.answer], [null, null]);
});

realTest('who opens a file whose cancelled recall is being undone waits for that, and gets the file', async (t) => {
  const bench = await recallBench(t, { file: 8 * mib });
  const unlock = bench.locks.tryLock(statSync(join(bench.mount, 'file')).ino);
  const first = bench.open('file');
  await until(() => bench.recaller.rows(null).some(({ state, position }) => state === 'loading' && position === null));
  t.true(bench.recaller.cancel(1, 'EBUSY', null));
  const [second, gone] = [bench.open('file', 2), bench.open('file', 3)];
  bench.recaller.onGone(gone.id);
  unlock?.();
  t.deepEqual([await first.answer, await second.answer], ['EBUSY', null]);
  t.true(bench.isWhole('file'));
});
