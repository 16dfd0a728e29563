import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import BetterSqlite from 'better-sqlite3';
import { connect, type Database } from '../../src/catalog/database.ts';
import { Writer } from '../../src/catalog/writer.ts';
import { temporaryFolder } from '../fixtures/catalogue.ts';

interface Bench {
  readonly db: Database;
  readonly writer: Writer;
  readonly add: (n: number) => void;
  readonly stored: () => number[];
  /** How often something was undone. */
  readonly undone: () => number;
}

function bench(t: ExecutionContext): Bench {
  const path = join(temporaryFolder(t), 'writer.db');
  const db = connect(path);
  t.teardown(() => db.close());
  db.exec('CREATE TABLE numbers (n INTEGER PRIMARY KEY)');
  let undone = 0;
  const writer = new Writer(db, path, () => undone++);
  const insert = db.prepare<[number]>('INSERT INTO numbers (n) VALUES (?)');
  return {
    db,
    writer,
    add: (n) => void insert.run(n),
    stored: () => db.prepare<[], number>('SELECT n FROM numbers ORDER BY n').pluck().all(),
    undone: () => undone,
  };
}

test('writes of one turn are one transaction, and run in the order of the calls', async (t) => {
  const { writer, add, stored, db } = bench(t);
  const order: number[] = [];
  await Promise.all(
    [3, 1, 2].map((n) =>
      writer.write(() => {
        t.true(db.inTransaction);
        order.push(n);
        add(n);
      }),
    ),
  );
  t.deepEqual(order, [3, 1, 2]);
  t.deepEqual(stored(), [1, 2, 3]);
  t.false(db.inTransaction);
});

test('nothing is acknowledged before its commit', async (t) => {
  const { writer, add, db } = bench(t);
  const first = writer.write(() => add(1)).then(() => db.inTransaction);
  const second = writer.write(() => add(2)).then(() => db.inTransaction);
  t.deepEqual(await Promise.all([first, second]), [false, false]);
});

test('a write that fails undoes itself alone, and whoever remembered something is told', async (t) => {
  const { writer, add, stored, undone } = bench(t);
  const results = await Promise.allSettled([
    writer.write(() => add(1)),
    writer.write(() => {
      add(2);
      throw new Error('no');
    }),
    writer.write(() => {
      add(3);
      add(1);
    }),
    writer.write(() => add(4)),
  ]);
  t.deepEqual(results.map(({ status }) => status), ['fulfilled', 'rejected', 'rejected', 'fulfilled']);
  t.deepEqual(stored(), [1, 4]);
  t.is(undone(), 2);
});

test('when the commit itself fails, all who shared it are told and nothing is kept', async (t) => {
  const { writer, add, stored, db, undone } = bench(t);
  db.exec('CREATE TABLE child (n REFERENCES numbers (n) DEFERRABLE INITIALLY DEFERRED)');
  const results = await Promise.allSettled([writer.write(() => add(1)), writer.write(() => db.exec('INSERT INTO child VALUES (99)'))]);
  t.deepEqual(results.map(({ status }) => status), ['rejected', 'rejected']);
  t.deepEqual(stored(), []);
  t.true(undone() > 0);
  await writer.write(() => add(1));
  t.deepEqual(stored(), [1]);
});

test('a long queue lets the event loop run in between, and loses nothing', async (t) => {
  const { writer, add, stored } = bench(t);
  let turns = 0;
  let going = true;
  const count = (): void => {
    turns += 1;
    if (going) setImmediate(count);
  };
  setImmediate(count);
  const slow = (n: number) => (): void => {
    const until = performance.now() + 3;
    while (performance.now() < until);
    add(n);
  };
  await Promise.all(Array.from({ length: 50 }, (_, n) => writer.write(slow(n))));
  going = false;
  t.is(stored().length, 50);
  t.true(turns >= 5);
});

test('slices are atomic each, and the first that fails is the last', async (t) => {
  const { writer, add, stored } = bench(t);
  const slices: [number, number][] = [];
  await t.throwsAsync(
    writer.writeSlices(10, 3, (from, to) => {
      slices.push([from, to]);
      for (let n = from; n < to; n++) add(n);
      if (from === 6) throw new Error('no');
    }),
    { message: 'no' },
  );
  t.deepEqual(slices, [[0, 3], [3, 6], [6, 9]]);
  t.deepEqual(stored(), [0, 1, 2, 3, 4, 5]);
});

test('another process that holds the database makes a write fail with EAGAIN, to be tried later', async (t) => {
  const { writer, add, stored, db } = bench(t);
  db.pragma('busy_timeout = 20');
  const other = new BetterSqlite(db.name);
  t.teardown(() => other.close());
  other.exec('BEGIN IMMEDIATE');
  const both = await Promise.allSettled([writer.write(() => add(1)), writer.write(() => add(2))]);
  for (const result of both) t.like(result, { status: 'rejected', reason: { code: 'EAGAIN', retry: 'later' } });
  other.exec('ROLLBACK');
  await writer.write(() => add(1));
  t.deepEqual(stored(), [1]);
});
