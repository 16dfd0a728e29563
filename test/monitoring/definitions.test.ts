import { readFileSync } from 'node:fs';
import test from 'ava';
import { definitions } from '../../src/monitoring/definitions.ts';
import { projectRoot } from '../../src/native/index.ts';

test('docs/monitoring.md has a row for each metric, and for no other', (t) => {
  const rows = readFileSync(`${projectRoot}docs/monitoring.md`, 'utf8')
    .split('\n')
    .filter((line) => /^\| `(hsm|process)_/.test(line));
  const expected = Object.entries(definitions).map(([name, { type, help, labels }]) => `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`);
  t.deepEqual(rows, expected);
});

test('names follow the conventions: counters end in _total, units are base units, help ends in a full stop', (t) => {
  for (const [name, { type, help }] of Object.entries(definitions)) {
    t.is(name.endsWith('_total'), type === 'counter', name);
    t.regex(name, /^(hsm|process)_[a-z_]+$/);
    t.notRegex(name, /_(ms|milliseconds|kb|mib|percent)/);
    t.regex(help, /\.$/);
  }
});
