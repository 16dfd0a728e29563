import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const root = fileURLToPath(new URL('../..', import.meta.url));

test('nothing of hsm reads the fdinfo of a fanotify group: a kernel that unmounts meanwhile never comes back (docs/decisions/0017)', (t) => {
  const sources = globSync(['native/*.{cc,h}', 'native/keeper/*.{cc,h}', 'src/**/*.ts'], { cwd: root });
  t.true(sources.length > 200);
  const reads = /\/fdinfo/;
  t.deepEqual(sources.filter((name) => reads.test(readFileSync(join(root, name), 'utf8'))), []);
});
