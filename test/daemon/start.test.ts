import test from 'ava';
import type { Config } from '../../src/config.ts';
import { daemonEnvironment } from '../../src/daemon/start.ts';

const withDrives = (count: number): Pick<Config, 'library'> =>
  ({ library: { kind: 'scsi', drives: Array.from({ length: count }, (_, index) => ({ name: `drive${index}`, device: `/dev/nst${index}`, element: null })) } }) as unknown as Pick<Config, 'library'>;

test('drives that move their tapes leave threads for files', (t) => {
  t.is(daemonEnvironment(withDrives(1), {})['UV_THREADPOOL_SIZE'], '6');
  t.is(daemonEnvironment(withDrives(6), { PATH: '/bin' })['UV_THREADPOOL_SIZE'], '16');
  t.is(daemonEnvironment(withDrives(6), { PATH: '/bin' })['PATH'], '/bin');
});

test('what an operator set stays', (t) => {
  t.is(daemonEnvironment(withDrives(6), { UV_THREADPOOL_SIZE: '40' })['UV_THREADPOOL_SIZE'], '40');
});
