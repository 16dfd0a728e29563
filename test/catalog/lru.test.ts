import test from 'ava';
import { Lru } from '../../src/catalog/lru.ts';

test('holds no more than its limit, and forgets what was used longest ago', (t) => {
  const lru = new Lru<string, number>(2);
  lru.set('a', 1);
  lru.set('b', 2);
  t.is(lru.get('a'), 1);
  lru.set('c', 3);
  t.is(lru.size, 2);
  t.is(lru.get('b'), undefined);
  t.is(lru.get('a'), 1);
  t.is(lru.get('c'), 3);
});

test('a value set again is replaced and counts as used', (t) => {
  const lru = new Lru<string, number>(2);
  lru.set('a', 1);
  lru.set('b', 2);
  lru.set('a', 10);
  lru.set('c', 3);
  t.is(lru.get('a'), 10);
  t.is(lru.get('b'), undefined);
  lru.clear();
  t.is(lru.size, 0);
});
