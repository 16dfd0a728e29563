import test from 'ava';
import { flag, integer, parseArchive, text, textList, wirePaths } from '../../src/daemon/params.ts';

const bad: readonly (readonly [string, () => unknown])[] = [
  ['a missing string', () => text({}, 'barcode')],
  ['a number for a string', () => text({ barcode: 1 }, 'barcode')],
  ['a string for a flag', () => flag({ verbose: 'yes' }, 'verbose')],
  ['a fraction', () => integer({ limit: 1.5 }, 'limit')],
  ['a negative number', () => integer({ limit: -1 }, 'limit')],
  ['a list with a number', () => textList({ pools: ['a', 1] }, 'pools')],
  ['no paths', () => wirePaths({})],
  ['an empty list of paths', () => wirePaths({ paths: [] })],
  ['a relative path', () => wirePaths({ paths: ['data'] })],
  ['a path of no kind', () => wirePaths({ paths: [{ hex: '00' }] })],
  ['archive without an age', () => parseArchive({ by: 'used' })],
  ['archive by nothing known', () => parseArchive({ by: 'ctime', olderThan: 0 })],
  ['archive with an age that is no number', () => parseArchive({ by: 'used', olderThan: Number.NaN })],
];

for (const [title, call] of bad) {
  test(`${title} is refused as a usage error`, (t) => {
    t.throws(call, { code: 'USAGE' });
  });
}

test('the parameters of archive have defaults', (t) => {
  t.deepEqual(parseArchive({ by: 'used', olderThan: 0 }), {
    olderThan: 0,
    by: 'used',
    include: [],
    exclude: [],
    pools: [],
    keepData: false,
    dryRun: false,
    verbose: false,
  });
});
