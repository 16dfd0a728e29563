/** Eviction under fire: FIRE_CYCLES says how many files are evicted on each filesystem (docs/reliability.md). */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { native } from '../../../src/native/index.ts';
import { cycle, right, startFire } from '../../fixtures/fire.ts';
import { filesystemTypes, kernelTest, loopFilesystem } from '../../fixtures/loopfs.ts';
import { managed } from '../../fixtures/managed.ts';
import { until } from '../../fixtures/until.ts';
import { testing } from '../../fixtures/testing.ts';

const realTest = kernelTest(test);
const wanted = Number(process.env['FIRE_CYCLES'] ?? 600);
const limitS = 120 + Math.ceil(wanted / 10);
const fire = { files: 32, users: 'rrrrrrwwtmm', paceMs: 25, limitS } as const;

for (const type of filesystemTypes) {
  realTest(`on ${type} users of files that are archived, released and recalled all the while never see a wrong byte`, async (t) => {
    t.timeout((limitS + 120) * 1000);
    const hsm = await managed(t, type, { sizeMiB: 512, init: ['--capacity', '64G', '--cartridges', '2'], daemonLimitMs: (limitS + 100) * 1000 });
    const folder = join(hsm.mount, 'fire');
    const users = await startFire(t, { mount: hsm.mount, folder: 'fire' }, fire);
    const deadline = Date.now() + limitS * 1000;
    const cycled = await cycle(join(hsm.folder, 'state', 'hsm.sock'), folder, ({ released }) => released >= wanted || Date.now() > deadline);
    const burnt = await users.stop();
    t.log(JSON.stringify({ ...cycled, ...burnt }));
    t.like(burnt, right, users.complaints());
    t.true(cycled.released >= wanted, `only ${cycled.released} cycles in ${limitS} s`);
    t.true(burnt.reads > 100 && burnt.writes > 50 && burnt.truncates > 10 && burnt.maps > 20, JSON.stringify(burnt));
    t.is(cycled.failed, 0);
  });
}

realTest('the users do notice a file that is punched, set back or cut behind their backs', async (t) => {
  const mount = await loopFilesystem(t, 'ext4');
  const users = await startFire(t, { mount, folder: '' }, { ...fire, users: 'rrrr', paceMs: 1 });
  const old = readFileSync(join(mount, 'f1'));
  const { dirFd } = native.openPrivateMount(mount);
  t.teardown(() => testing.closeFd(dirFd));
  const fd = native.openBeneath(dirFd, Buffer.from('f0'), 2);
  native.punchHole(fd, 0, 4096);
  testing.closeFd(fd);
  old[100] = ((old[100] ?? 0) % 255) + 1;
  writeFileSync(join(mount, 'f1'), old);
  writeFileSync(join(mount, 'f2'), '');
  await until(() => ['f0 ', 'f1 ', 'f2 '].every((name) => users.complaints().includes(name)));
  const burnt = await users.stop();
  t.true(burnt.zeros > 0 && burnt.other > 0 && burnt.sizes > 0, JSON.stringify(burnt));
});
