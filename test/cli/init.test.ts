import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openCatalog } from '../../src/catalog/index.ts';
import { build } from '../../src/cli/init/build.ts';
import { planInit } from '../../src/cli/init/plan.ts';
import { cataloguePath, loadConfig } from '../../src/config.ts';
import { temporaryFolder } from '../fixtures/fake-daemon.ts';
import { hsm, jsonLines } from '../fixtures/hsm.ts';
import { filesystemTypes, kernelTest, loopFilesystem } from '../fixtures/loopfs.ts';

const kernel = kernelTest(test);

interface Place {
  readonly folder: string;
  readonly mount: string;
  readonly arguments: string[];
}

async function place(t: ExecutionContext, type: 'ext4' | 'xfs' | 'btrfs' = 'ext4'): Promise<Place> {
  const mount = await loopFilesystem(t, type);
  const folder = temporaryFolder(t);
  return { folder, mount, arguments: ['--config', join(folder, 'etc/hsm.toml'), 'init', '--filesystem', mount, '--library', join(folder, 'tapes'), '--state', join(folder, 'state')] };
}

for (const type of filesystemTypes) {
  kernel(`init on ${type} makes a config that loads, a catalogue and a library that belong together`, async (t) => {
    const { folder, mount, arguments: args } = await place(t, type);
    const result = await hsm([...args, '--drives', '3', '--cartridges', '4', '--capacity', '1G', '--json']);
    t.is(result.stderr, '');
    t.is(result.exitCode, 0);
    const config = loadConfig(join(folder, 'etc/hsm.toml'));
    t.like(config, { state: join(folder, 'state'), filesystems: [mount], library: { path: join(folder, 'tapes'), timing: 'none' }, socket: join(folder, 'state/hsm.sock') });
    const catalog = openCatalog(cataloguePath(config.state));
    t.teardown(() => catalog.close());
    const volumes = await catalog.volumes();
    t.deepEqual(volumes.map((each) => each.barcode), jsonLines(result.stdout)[0]?.['volumes']);
    t.true(volumes.every((each) => each.capacity === 2 ** 30 && each.state === 'scratch' && each.pool === null));
    t.is(volumes.length, 4);
    t.like((await catalog.filesystems())[0], { path: mount, type });
  });
}

kernel('others can read the config and reach the socket, but not the catalogue or the tapes', async (t) => {
  const { folder, arguments: args } = await place(t);
  t.is((await hsm(args)).exitCode, 0);
  const mode = (path: string) => (statSync(join(folder, path)).mode & 0o777).toString(8);
  t.deepEqual([mode('etc/hsm.toml'), mode('state'), mode('state/catalogue.db'), mode('tapes')], ['644', '755', '600', '700']);
});

kernel('a second init is refused with exit 5 and changes nothing', async (t) => {
  const { folder, arguments: args } = await place(t);
  t.is((await hsm(args)).exitCode, 0);
  const before = readFileSync(join(folder, 'etc/hsm.toml'), 'utf8');
  const again = await hsm([...args, '--json']);
  t.is(again.exitCode, 5);
  t.like(jsonLines(again.stderr)[0], { error: { code: 'REFUSED', path: join(folder, 'etc/hsm.toml') } });
  t.is(readFileSync(join(folder, 'etc/hsm.toml'), 'utf8'), before);
});

const refused = (title: string, prepare: (place: Place) => string[], exitCode: number, message: RegExp) =>
  kernel(`init is refused ${title}`, async (t) => {
    const where = await place(t);
    const args = [...where.arguments, ...prepare(where)];
    const before = readdirSync(where.folder, { recursive: true }).sort();
    const result = await hsm(args);
    t.is(result.exitCode, exitCode, result.stderr);
    t.regex(result.stderr, message);
    t.is(result.stderr.split('\n').length, 1);
    t.deepEqual(readdirSync(where.folder, { recursive: true }).sort(), before);
  });

refused('on the root filesystem', () => ['--filesystem', '/'], 5, /root filesystem/);
refused('where no filesystem is mounted', ({ folder }) => ['--filesystem', folder], 2, /not a mount point: it is a folder of/);
refused('on a path that is not there', ({ folder }) => ['--filesystem', join(folder, 'nothing')], 1, /does not exist/);
refused('on tmpfs', () => ['--filesystem', '/dev/shm'], 5, /is tmpfs: hsm manages ext4, xfs, btrfs/);
refused('with its library on the managed filesystem', ({ mount }) => ['--library', join(mount, 'tapes')], 5, /managed filesystem/);
refused('with its state on the managed filesystem', ({ mount }) => ['--state', join(mount, 'a/b')], 5, /managed filesystem/);
refused(
  'with a library folder that is not empty',
  ({ folder }) => {
    mkdirSync(join(folder, 'tapes'));
    writeFileSync(join(folder, 'tapes/precious'), 'x');
    return [];
  },
  5,
  /not an empty folder/,
);
refused(
  'with a state folder that has a catalogue',
  ({ folder }) => {
    mkdirSync(join(folder, 'state'));
    writeFileSync(join(folder, 'state/catalogue.db'), 'x');
    return [];
  },
  5,
  /catalogue\.db exists/,
);
refused('with one folder for library and state', ({ folder }) => ['--library', join(folder, 'state')], 2, /different folders/);
refused('with no drive', () => ['--drives', '0'], 2, /1 or more/);
refused('with an empty --library', () => ['--library', ''], 2, /empty/);

test('init as another user says that root is needed', async (t) => {
  const result = await hsm(['--config', '/nowhere/hsm.toml', 'init', '--filesystem', '/', '--library', '/nowhere'], { uid: 65534, gid: 65534, cwd: '/' });
  t.is(result.exitCode, 1);
  t.regex(result.stderr, /must run as root/);
});

kernel('a failure at any step leaves everything as it was', async (t) => {
  const { folder, mount } = await place(t);
  const options = { filesystem: [mount], library: join(folder, 'deep/tapes'), state: join(folder, 'deep/state'), drives: 2, cartridges: 3, timing: 'none', format: 'tar' } as const;
  const plan = planInit(join(folder, 'etc/hsm.toml'), options);
  const before = readdirSync(folder, { recursive: true });
  const steps: string[] = [];
  for (let failing = 1; failing < 20; failing += 1) {
    steps.length = 0;
    const beforeStep = (name: string) => {
      steps.push(name);
      if (steps.length === failing) throw new Error(`no ${name}`);
    };
    const outcome = await build(plan, { beforeStep }).catch((error: Error) => error);
    if (!(outcome instanceof Error)) break;
    t.deepEqual(readdirSync(folder, { recursive: true }), before, `after a failure before ${steps.at(-1)}`);
  }
  t.deepEqual(steps, ['folders', 'library', 'catalogue', 'volumes', 'config', 'end']);
  t.true(existsSync(plan.configFile));
});

kernel('an empty library folder that was there stays there when init fails', async (t) => {
  const { folder, mount } = await place(t);
  mkdirSync(join(folder, 'tapes'));
  const plan = planInit(join(folder, 'hsm.toml'), { filesystem: [mount], library: join(folder, 'tapes'), state: join(folder, 'state'), drives: 1, cartridges: 1, timing: 'none', format: 'tar' });
  await t.throwsAsync(build(plan, { beforeStep: (name) => { if (name === 'end') throw new Error('late'); } }), { message: 'late' });
  t.deepEqual(readdirSync(folder), ['tapes']);
  t.deepEqual(readdirSync(join(folder, 'tapes')), []);
});
