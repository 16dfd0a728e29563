import { readFileSync } from 'node:fs';
import test from 'ava';
import { access, maxLine, methods, protocolVersion } from '../../src/daemon/protocol.ts';

const manual = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8');

test('docs/protocol.md has a row for every method, with who may call it', (t) => {
  for (const method of methods) t.regex(manual, new RegExp(`^\\| \`${method}\` \\| ${access[method]} \\|`, 'm'), method);
});

test('docs/protocol.md names no method that there is not', (t) => {
  const named = [...manual.matchAll(/^\| `(\w+)` \| (?:everyone|operators) \|/gm)].map(([, method]) => method);
  t.deepEqual(named.toSorted(), methods.toSorted());
});

test('docs/protocol.md states the version and the longest line', (t) => {
  t.true(manual.includes(`version ${protocolVersion}`));
  t.is(maxLine, 16 * 2 ** 20);
  t.true(manual.includes('16 MiB'));
});
