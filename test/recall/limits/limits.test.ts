import test from 'ava';
import { Limits } from '../../../src/recall/limits/limits.ts';
import { defaultRules, matches, type Asker, type LimitRule } from '../../../src/recall/limits/rules.ts';
import { Space } from '../../../src/recall/limits/space.ts';
import { Storms, type Storm } from '../../../src/recall/limits/storms.ts';

const asker = (more: Partial<Asker> = {}): Asker => ({ uid: 1000, gids: [100], exe: '/usr/bin/grep', comm: 'grep', cgroup: '/user.slice/user-1000.slice', ...more });
const rule = (more: Partial<LimitRule>): LimitRule => ({
  name: 'rule',
  programs: [],
  uids: [],
  gids: [],
  cgroups: [],
  action: 'delay',
  per: 'user',
  concurrent: null,
  filesPerHour: null,
  bytesPerHour: null,
  ...more,
});

const fits = test.macro({
  exec: (t, conditions: Partial<LimitRule>, who: Partial<Asker>, expected: boolean) => t.is(matches(rule(conditions), asker(who)), expected),
  title: (what) => `a rule and ${what}`,
});

test('nobody in particular', fits, {}, {}, true);
test('a program by its file name', fits, { programs: ['gr*'] }, {}, true);
test('a program by the name of its process', fits, { programs: ['tumblerd'] }, { exe: '', comm: 'tumblerd' }, true);
test('a program by its path', fits, { programs: ['/usr/**/grep'] }, {}, true);
test('a program of another folder', fits, { programs: ['/opt/*/grep'] }, {}, false);
test('another program', fits, { programs: ['find'] }, {}, false);
test('a process of which nothing could be read', fits, { programs: ['*d'] }, { exe: '', comm: '' }, false);
test('a user in a range', fits, { uids: [{ first: 900, last: 1000 }] }, {}, true);
test('a user outside of it', fits, { uids: [{ first: 1001, last: 2000 }] }, {}, false);
test('a group among several', fits, { gids: [100] }, { gids: [5, 100] }, true);
test('another group', fits, { gids: [101] }, {}, false);
test('a control group', fits, { cgroups: ['/user.slice/*'] }, {}, true);
test('two conditions of which one fails', fits, { programs: ['grep'], uids: [{ first: 0, last: 0 }] }, {}, false);

test('indexers, thumbnailers and scanners are refused, backups are slowed, all others have their way by default', (t) => {
  const limits = new Limits(defaultRules, () => 0);
  for (const exe of ['/usr/sbin/updatedb.plocate', '/usr/libexec/tracker-extract-3', '/usr/bin/baloo_file_extractor', '/usr/bin/gdk-pixbuf-thumbnailer', '/usr/bin/clamscan']) {
    t.like(limits.refusal(asker({ exe })), { errno: 'EPERM' }, exe);
  }
  for (const exe of ['/usr/bin/grep', '/usr/bin/rsync', '/usr/bin/tar', '/usr/bin/restic', '/usr/bin/python3']) t.is(limits.refusal(asker({ exe })), null, exe);
  const backup = asker({ exe: '/usr/bin/restic' });
  for (let i = 0; i < 8; i += 1) t.is(limits.begin(backup, 1).verdict.kind, 'go');
  t.like(limits.begin(backup, 1).verdict, { kind: 'wait', reason: 'rule backups: 8 recalls at a time' });
  for (let i = 0; i < 1000; i += 1) t.is(limits.begin(asker(), 2 ** 30).verdict.kind, 'go');
});

test('recalls at a time: the end of one makes room for one, of that user alone', (t) => {
  const limits = new Limits([rule({ concurrent: 2 })], () => 0);
  const first = limits.begin(asker(), 1);
  limits.begin(asker(), 1);
  t.like(limits.begin(asker(), 1).verdict, { kind: 'wait', key: 'rule:1000' });
  t.is(limits.begin(asker({ uid: 1001 }), 1).verdict.kind, 'go');
  limits.ended(first.count!);
  t.is(limits.begin(asker(), 1).verdict.kind, 'go');
  t.is(limits.begin(asker(), 1).verdict.kind, 'wait');
});

test('files and bytes an hour are counted over the last hour, and one large file is not kept for ever', (t) => {
  let now = 0;
  const files = new Limits([rule({ filesPerHour: 2 })], () => now);
  for (let i = 0; i < 2; i += 1) files.ended(files.begin(asker(), 1).count!);
  t.is(files.begin(asker(), 1).verdict.kind, 'wait');
  now = 61 * 60_000;
  t.is(files.begin(asker(), 1).verdict.kind, 'go');
  const bytes = new Limits([rule({ bytesPerHour: 100, action: 'fail' })], () => now);
  t.is(bytes.begin(asker(), 1000).verdict.kind, 'go');
  t.like(bytes.begin(asker(), 1).verdict, { kind: 'refuse', errno: 'EAGAIN', reason: 'rule rule: 100 bytes an hour' });
});

test('what counts together: a program, a control group, or everybody', (t) => {
  for (const [per, other] of [['program', { exe: '/bin/other' }], ['cgroup', { cgroup: '/other' }]] as const) {
    const limits = new Limits([rule({ concurrent: 1, per })], () => 0);
    t.is(limits.begin(asker(), 1).verdict.kind, 'go');
    t.is(limits.begin(asker(other), 1).verdict.kind, 'go', per);
    t.is(limits.begin(asker({ uid: 5 }), 1).verdict.kind, 'wait', per);
  }
  const all = new Limits([rule({ concurrent: 1, per: 'all' })], () => 0);
  t.is(all.begin(asker(), 1).verdict.kind, 'go');
  t.is(all.begin(asker({ uid: 5, exe: '/x', cgroup: '/y' }), 1).verdict.kind, 'wait');
});

test('nothing is counted for who is sent to wait by a second rule', (t) => {
  const limits = new Limits([rule({ name: 'a', concurrent: 5 }), rule({ name: 'b', concurrent: 1, per: 'all' })], () => 0);
  const one = limits.begin(asker(), 1);
  for (let i = 0; i < 10; i += 1) t.like(limits.begin(asker(), 1).verdict, { kind: 'wait', key: 'b:' });
  limits.ended(one.count!);
  t.is(limits.begin(asker(), 1).verdict.kind, 'go');
});

test('a storm begins once, names the program that asks most, and ends well below where it began', (t) => {
  const seen: [Storm, boolean][] = [];
  const storms = new Storms(100, () => 7, (storm, begun) => seen.push([storm, begun]));
  for (let i = 0; i < 150; i += 1) storms.begun(1000, i < 30 ? '/bin/cat' : '/bin/grep');
  storms.begun(1001, '/bin/cat');
  t.deepEqual(seen, [[{ uid: 1000, exe: '/bin/grep', requests: 100, since: 7 }, true]]);
  t.deepEqual(storms.rows, [{ uid: 1000, exe: '/bin/grep', requests: 150, since: 7 }]);
  for (let i = 0; i < 99; i += 1) storms.ended(1000, '/bin/grep');
  t.is(seen.length, 1);
  storms.ended(1000, '/bin/grep');
  t.like(seen[1], [{ requests: 50 }, false]);
  t.deepEqual(storms.rows, []);
});

test('recalls wait before a filesystem is full, get their room when there is some, and ENOSPC when that takes too long', (t) => {
  let now = 0;
  let free = 1000;
  const space = new Space<string>({ keepFreePercent: 10, waitMs: 60_000 }, () => now, () => ({ free, total: 2000 }));
  t.is(space.begin('a', '/fs', 500), 'go');
  t.is(space.begin('b', '/fs', 400), 'wait', 'promised to a, and a tenth stays free');
  t.is(space.begin('c', '/fs', 300), 'go', 'a smaller one fits');
  space.ended('a');
  t.is(space.begin('b', '/fs', 400), 'go');
  space.ended('b');
  space.ended('c');
  free = 100;
  t.is(space.begin('d', '/fs', 1), 'wait');
  t.is(space.begin('huge', '/fs', 2001), 'refuse');
  now = 59_999;
  t.is(space.begin('d', '/fs', 1), 'wait');
  now = 60_000;
  t.is(space.begin('d', '/fs', 1), 'refuse');
});
