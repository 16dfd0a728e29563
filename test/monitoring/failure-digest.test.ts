import test from 'ava';
import { FailureDigest, type FailedRecalls } from '../../src/monitoring/failure-digest.ts';
import { until } from '../fixtures/until.ts';

const failed = (path: string, errno: 'EIO' | 'EPERM' = 'EIO', isCancelled = false) => ({ path, errno, isCancelled, failure: { code: errno, message: 'bad block' } });

test('the first failure is told at once, those that follow together', async (t) => {
  const told: FailedRecalls[] = [];
  const digest = new FailureDigest((each) => void told.push(each), 50);
  // Keeps the process alive: the digest does not.
  const alive = setInterval(() => undefined, 1000);
  t.teardown(() => clearInterval(alive));
  digest.add(failed('/a'));
  t.deepEqual(told, [{ count: 1, path: '/a', errno: 'EIO', reason: 'bad block' }]);
  for (let i = 0; i < 1000; i += 1) digest.add(failed(`/b${i}`));
  await until(async () => (told.reduce((sum, { count }) => sum + count, 0) === 1001 ? true : null));
  t.is(told[1]?.path, '/b0');
  t.true(told.length <= 3);
});

test('refusals, cancels and successes are no failures', (t) => {
  const digest = new FailureDigest(() => t.fail());
  digest.add(failed('/a', 'EPERM'));
  digest.add(failed('/a', 'EIO', true));
  digest.add({ path: '/a', errno: null, failure: null, isCancelled: false });
  t.pass();
});
