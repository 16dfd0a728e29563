import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { connect } from '../../src/catalog/database.ts';
import { openCatalog } from '../../src/catalog/index.ts';
import { membersOf, prepare, temporaryCatalog } from '../fixtures/catalogue.ts';

test('a dump is a whole catalogue of its own, taken while writes go on', async (t) => {
  const { catalog, path } = temporaryCatalog(t);
  const { filesystem, containers } = await prepare(catalog);
  await catalog.addArchived(containers, membersOf(filesystem, Array.from({ length: 5000 }, (_, i) => ({ ino: i + 1 }))));
  const target = join(dirname(path), 'dump.db');
  const dumping = catalog.dump(target);
  let writes = 0;
  let done = false;
  void dumping.finally(() => (done = true));
  while (!(done as boolean)) {
    await catalog.logEvent('meanwhile', null, { writes: ++writes });
  }
  await dumping;
  t.true(writes > 1, 'writes went on meanwhile');
  const copy = openCatalog(target);
  t.teardown(() => copy.close());
  t.is((await copy.countStates(filesystem)).archived, 5000);
  t.deepEqual(await copy.check(), []);
  t.deepEqual(readdirSync(dirname(path)).filter((name) => name.includes('partial')), []);
});

test('a dump never overwrites, and one that fails leaves nothing', async (t) => {
  const { catalog, path } = temporaryCatalog(t);
  const target = join(dirname(path), 'dump.db');
  writeFileSync(target, 'precious');
  await t.throwsAsync(catalog.dump(target), { code: 'EEXIST' });
  const nowhere = join(dirname(path), 'no', 'dump.db');
  await t.throwsAsync(catalog.dump(nowhere), { name: 'HsmError' });
  t.false(existsSync(nowhere));
  writeFileSync(join(dirname(path), 'cut.db.partial'), 'left by a crash');
  await catalog.dump(join(dirname(path), 'cut.db'));
  t.false(existsSync(join(dirname(path), 'cut.db.partial')));
});

const finds = test.macro({
  async exec(t: ExecutionContext, sql: string, expected: RegExp) {
    const { catalog, path } = temporaryCatalog(t);
    const { filesystem, containers } = await prepare(catalog);
    await catalog.addArchived(containers, membersOf(filesystem, [{ ino: 1 }, { ino: 2 }]));
    t.deepEqual(await catalog.check(), []);
    const db = connect(path);
    db.pragma('foreign_keys = OFF');
    db.exec(sql);
    db.close();
    const lines = await catalog.check();
    t.true(lines.some((line) => expected.test(line)), lines.join('\n'));
  },
  title: (_, sql) => `check finds the damage of: ${sql}`,
});

test(finds, 'UPDATE files SET object = 2 WHERE ino = 1', /name it back.*1\/1/);
test(finds, 'UPDATE files SET directory = 99 WHERE ino = 2', /directory.*1\/2/);
test(finds, 'UPDATE containers SET live = live + 1', /container whose counts/);
test(finds, 'UPDATE containers SET objects = 1', /container whose counts/);
test(finds, 'UPDATE volumes SET live = 0', /volume whose counts are wrong.*TAPE01L9/);
test(finds, 'UPDATE files SET state = 1 WHERE ino = 1', /count of files/);
test(finds, 'DELETE FROM file_counts', /count of files.*1\/0/);
test(finds, 'DELETE FROM containers', /copies: row .* containers/);
