import test from 'ava';
import { blame, type PastFailure } from '../../src/library/blame.ts';

const day = 86_400_000;
/** `drive/volume` pairs, a day apart; the last is today's. */
function judged(...pairs: readonly string[]): ReturnType<typeof blame> {
  const history = pairs.map((pair, index): PastFailure => {
    const [drive = '', volume = ''] = pair.split('/');
    return { at: (100 + index) * day, drive, volume };
  });
  return blame(history, history.at(-1)!);
}

test('one failure, and the same one again, tell nothing', (t) => {
  t.deepEqual(judged('d0/A'), { drive: null, volume: null });
  t.deepEqual(judged('d0/A', 'd0/A', 'd0/A', 'd0/A'), { drive: null, volume: null });
});

test('a volume that fails in two drives is at fault', (t) => {
  t.deepEqual(judged('d0/A', 'd1/A'), { drive: null, volume: 'it failed in d0 and d1' });
});

test('a drive in which three volumes fail is at fault', (t) => {
  t.deepEqual(judged('d0/A', 'd0/B'), { drive: null, volume: null });
  t.deepEqual(judged('d0/A', 'd0/C', 'd0/B'), { drive: '3 volumes failed in it and in no other: A, B, C', volume: null });
});

test('volumes that fail everywhere are not held against a drive', (t) => {
  t.deepEqual(judged('d0/A', 'd1/A', 'd0/B', 'd1/B', 'd0/C'), { drive: null, volume: null });
});

test('both can be at fault', (t) => {
  t.deepEqual(judged('d0/A', 'd0/B', 'd0/C', 'd1/D', 'd0/D'), { drive: '3 volumes failed in it and in no other: A, B, C', volume: 'it failed in d0 and d1' });
});

test('what is a month old is forgotten', (t) => {
  const history: PastFailure[] = [
    { at: 0, drive: 'd0', volume: 'A' },
    { at: 30 * day, drive: 'd1', volume: 'A' },
  ];
  t.deepEqual(blame(history, history[1]!), { drive: null, volume: null });
});
