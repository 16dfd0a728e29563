import test from 'ava';
import { mountOf, mounts, parseMount } from '../src/mounts.ts';

test('a line of mountinfo is read with its optional fields and escapes', (t) => {
  t.deepEqual(parseMount('36 35 98:0 /sub\\134x /mnt/a\\040b rw,noatime master:1 shared:2 - ext4 /dev/sda1 rw,errors=continue'), {
    path: '/mnt/a b',
    root: '/sub\\x',
    device: '98:0',
    type: 'ext4',
    source: '/dev/sda1',
    options: ['rw', 'noatime', 'errors=continue'],
  });
});

test('the mount of a path is the deepest, and of two at one place the later', (t) => {
  const at = (path: string, device: string) => ({ path, root: '/', device, type: 'ext4', source: 'x', options: [] });
  const all = [at('/', '1'), at('/data', '2'), at('/data/deep', '3'), at('/data', '4')];
  t.is(mountOf('/database', all)?.device, '1');
  t.is(mountOf('/data', all)?.device, '4');
  t.is(mountOf('/data/deeper', all)?.device, '4');
  t.is(mountOf('/data/deep/x', all)?.device, '3');
  t.is(mountOf('/', [])?.device, undefined);
});

test('this machine has a root mount', (t) => {
  t.is(mountOf('/', mounts())?.path, '/');
});
