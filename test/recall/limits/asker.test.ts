import { readFileSync } from 'node:fs';
import test from 'ava';
import { askerOf } from '../../../src/recall/limits/asker.ts';

test('a process says its name, its groups and its control group', (t) => {
  const asker = askerOf({ pid: process.pid, uid: 7, exe: '/usr/bin/node' });
  t.like(asker, { uid: 7, exe: '/usr/bin/node' });
  t.is(asker.comm, readFileSync('/proc/self/comm', 'utf8').trim());
  t.true(asker.gids.includes(process.getegid?.() ?? -1));
  t.is(asker.cgroup, /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '');
});

test('of a process that is gone nothing is known, and that is no error', (t) => {
  const { comm, gids, cgroup } = askerOf({ pid: 2 ** 30, uid: 7, exe: '' });
  t.deepEqual({ comm, gids, cgroup }, { comm: '', gids: [], cgroup: '' });
});
