import { setImmediate as turnOfLoop } from 'node:timers/promises';
import test from 'ava';
import { Pace } from '../../src/archiver/pace.ts';

test('without a pump every turn is free', async (t) => {
  const pace = new Pace();
  await pace.turn();
  await pace.during(async () => {});
  await t.notThrowsAsync(pace.turn());
});

test('while blocks are ready nobody else gets a turn', async (t) => {
  const pace = new Pace();
  const order: string[] = [];
  const pump = pace.during(async () => {
    for (let i = 0; i < 3; i += 1) {
      await pace.wait(Promise.resolve());
      await turnOfLoop();
      order.push('block');
    }
  });
  const other = pace.turn().then(() => order.push('other'));
  await Promise.all([pump, other]);
  t.deepEqual(order, ['block', 'block', 'block', 'other']);
});

/** A block that comes some turns of the loop after it was asked for, however long they take. */
async function slowBlock(): Promise<void> {
  for (let turns = 0; turns < 3; turns += 1) await turnOfLoop();
}

test('while the pump waits for a block, others go one at a time', async (t) => {
  const pace = new Pace();
  const order: string[] = [];
  const pump = pace.during(async () => {
    await pace.wait(slowBlock());
    order.push('block');
    await turnOfLoop();
    await pace.wait(slowBlock());
    order.push('block');
    await turnOfLoop();
  });
  const others = ['a', 'b'].map((name) => pace.turn().then(() => order.push(name)));
  await Promise.all([pump, ...others]);
  t.deepEqual(order, ['a', 'block', 'b', 'block']);
});

test('a pump that fails lets everybody go', async (t) => {
  const pace = new Pace();
  const pump = pace.during(async () => {
    await turnOfLoop();
    throw new Error('broken');
  });
  const turn = pace.turn();
  await t.throwsAsync(pump, { message: 'broken' });
  await t.notThrowsAsync(turn);
});
