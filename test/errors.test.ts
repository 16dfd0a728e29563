import test from 'ava';
import { errorCode, exitCodes, HsmError, refusal, usageError } from '../src/errors.ts';

test('the exit codes are the documented ones', (t) => {
  t.deepEqual(exitCodes, { done: 0, failed: 1, usage: 2, partial: 3, noDaemon: 4, refused: 5, interrupted: 130 });
});

test('an error says what a caller may do, and keeps its cause', (t) => {
  const cause = new Error('disk');
  const error = new HsmError('EIO', 'cannot read', { retry: 'other-copy', path: '/x', cause });
  t.like(error, { code: 'EIO', message: 'cannot read', retry: 'other-copy', exit: 1, path: '/x', cause, name: 'HsmError' });
  t.like(new HsmError('X', 'y'), { retry: 'never', exit: 1, path: undefined });
  t.false('cause' in new HsmError('X', 'y'));
});

test('usage errors exit 2, refusals 5', (t) => {
  t.like(usageError('what'), { code: 'USAGE', exit: 2 });
  t.like(refusal('no', '/p'), { code: 'REFUSED', exit: 5, path: '/p' });
  t.is(refusal('no').path, undefined);
});

test('any thrown value has a code', (t) => {
  t.is(errorCode(new HsmError('NO_DAEMON', '')), 'NO_DAEMON');
  t.is(errorCode(Object.assign(new Error(), { code: 'ENOENT' })), 'ENOENT');
  t.is(errorCode(Object.assign(new Error(), { code: 5 })), 'INTERNAL');
  t.is(errorCode(new TypeError()), 'INTERNAL');
  t.is(errorCode('text'), 'INTERNAL');
  t.is(errorCode(undefined), 'INTERNAL');
});
