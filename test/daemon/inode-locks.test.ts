import test from 'ava';
import { InodeLocks } from '../../src/daemon/inode-locks.ts';

test('a locked inode is refused to tryLock until it is unlocked', (t) => {
  const locks = new InodeLocks();
  const unlock = locks.tryLock(7);
  t.not(unlock, null);
  t.is(locks.tryLock(7), null);
  t.not(locks.tryLock(8), null);
  unlock?.();
  t.not(locks.tryLock(7), null);
});

test('waiters get the lock one at a time, in the order they came', async (t) => {
  const locks = new InodeLocks();
  const order: string[] = [];
  const first = await locks.lock(1);
  const waiters = ['a', 'b', 'c'].map(async (name) => {
    const unlock = await locks.lock(1);
    order.push(`${name} in`);
    await Promise.resolve();
    order.push(`${name} out`);
    unlock();
  });
  t.deepEqual(order, []);
  first();
  t.is(locks.tryLock(1), null, 'a lock that is handed over is never free in between');
  await Promise.all(waiters);
  t.deepEqual(order, ['a in', 'a out', 'b in', 'b out', 'c in', 'c out']);
});

test('unlocking twice does not take the lock from its next holder', async (t) => {
  const locks = new InodeLocks();
  const first = await locks.lock(1);
  first();
  const second = await locks.lock(1);
  first();
  t.is(locks.tryLock(1), null);
  second();
});

test('unlocked inodes take no memory', async (t) => {
  const locks = new InodeLocks();
  const unlocks = await Promise.all([1, 2, 3].map((ino) => locks.lock(ino)));
  const waiting = locks.lock(2);
  t.is(locks.size, 3);
  for (const unlock of unlocks) unlock();
  (await waiting)();
  t.is(locks.size, 0);
});
