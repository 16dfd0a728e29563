import test from 'ava';
import { createLogger, isLevel } from '../../src/daemon/log.ts';

test('a line is one JSON object with its data in keys', (t) => {
  const lines: string[] = [];
  const log = createLogger('info', (line) => lines.push(line));
  log.warn({ path: '/data/new\nline', size: 5n, err: Object.assign(new Error('no'), { code: 'EIO' }) }, 'a recall failed');
  t.is(lines.length, 1);
  t.is(lines[0]?.split('\n').length, 2);
  t.like(JSON.parse(lines[0] ?? ''), { level: 'warn', msg: 'a recall failed', path: '/data/new\nline', size: '5', err: { message: 'no', code: 'EIO' } });
});

test('what is below the level is dropped', (t) => {
  const lines: string[] = [];
  const log = createLogger('error', (line) => lines.push(line));
  log.info({}, 'quiet');
  log.error({}, 'loud');
  t.is(lines.length, 1);
  t.true(isLevel('warn'));
  t.false(isLevel('loud'));
});
