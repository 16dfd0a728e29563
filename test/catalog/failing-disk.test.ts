import { execFile } from 'node:child_process';
import { constants } from 'node:os';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { openCatalog } from '../../src/catalog/index.ts';
import { HsmError } from '../../src/errors.ts';
import { buildFailingIo } from '../fixtures/failing-io.ts';
import { kernelTest, loopFilesystem } from '../fixtures/loopfs.ts';
import { membersOf, prepare, temporaryCatalog, temporaryFolder } from '../fixtures/catalogue.ts';

const program = fileURLToPath(new URL('../fixtures/catalogue-on-failing-disk.ts', import.meta.url));

const survives = test.macro({
  async exec(t: ExecutionContext, kind: 'sync' | 'write', errno: number, code: string) {
    const folder = temporaryFolder(t);
    const env = { ...process.env, LD_PRELOAD: await buildFailingIo(folder) };
    const { stdout } = await promisify(execFile)(process.execPath, [program, folder, kind, String(errno), code], { timeout: 120_000, env });
    const { refused, problems } = JSON.parse(stdout) as { refused: number; problems: string[] };
    t.deepEqual(problems, []);
    t.true(refused > 0, 'no operation failed at all');
  },
  title: (_, kind, __, code) => `whichever ${kind} fails with ${code}, what was acknowledged is there and what was refused is not`,
});

test(survives, 'write', constants.errno.ENOSPC, 'ENOSPC');
test(survives, 'write', constants.errno.EIO, 'EIO');
test(survives, 'sync', constants.errno.EIO, 'EIO');

test('a catalogue that may not grow refuses with ENOSPC in one line, keeps what it has, and can still be read', async (t) => {
  const { catalog, path } = temporaryCatalog(t, { maxPages: 200, sliceRows: 100 });
  const { filesystem, containers } = await prepare(catalog);
  const files = Array.from({ length: 20_000 }, (_, i) => ({ ino: i + 1 }));
  const error = await t.throwsAsync(catalog.addArchived(containers, membersOf(filesystem, files)), { instanceOf: HsmError, code: 'ENOSPC' });
  t.is(error.retry, 'later');
  t.false(error.message.includes('\n'));
  t.true(error.message.includes(path));
  const { archived } = await catalog.countStates(filesystem);
  t.true(archived > 0 && archived % 100 === 0);
  await catalog.moveFiles(filesystem, [{ ino: 1, to: 'stub' }]);
  t.deepEqual(await catalog.check(), []);
});

const kernel = kernelTest(test);

kernel('on a full disk every write fails with ENOSPC; once there is room again the work goes on', async (t) => {
  const mount = await loopFilesystem(t, 'ext4', 24);
  const ballast = join(mount, 'ballast');
  writeFileSync(ballast, Buffer.alloc(4 * 2 ** 20, 1));
  const catalog = openCatalog(join(mount, 'catalogue.db'), { sliceRows: 500 });
  t.teardown(() => catalog.close());
  const { filesystem, containers } = await prepare(catalog);
  const members = membersOf(filesystem, Array.from({ length: 100_000 }, (_, i) => ({ ino: i + 1 })));
  await t.throwsAsync(catalog.addArchived(containers, members), { instanceOf: HsmError, code: 'ENOSPC', message: /no space left on its disk; free some/ });
  const { archived } = await catalog.countStates(filesystem);
  t.true(archived > 0 && archived % 500 === 0);
  t.is((await catalog.filesByInode(filesystem, [1]))[0]?.state, 'archived');

  rmSync(ballast);
  await catalog.moveFiles(filesystem, [{ ino: 1, to: 'stub' }]);
  await catalog.addArchived(containers, { ...members, count: archived + 500 });
  t.is((await catalog.countStates(filesystem)).archived, archived + 499);
  t.deepEqual(await catalog.check(), []);
  await catalog.close();
});
