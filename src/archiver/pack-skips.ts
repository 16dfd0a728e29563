/** What the packer's reasons to leave a file out are called in the summary. */
import { getSystemErrorName } from 'node:util';
import { packStatus } from '../native/index.ts';
import type { SkipReason } from './context.ts';
import type { Tally } from './tally.ts';

const reasons: Readonly<Record<number, SkipReason>> = {
  [packStatus.open]: 'open',
  [packStatus.changed]: 'changed',
  [packStatus.immutable]: 'immutable',
  [packStatus.gone]: 'gone',
  [packStatus.stub]: 'stub',
  [packStatus.small]: 'small',
  [packStatus.empty]: 'empty',
};

/** Counts a file that is not in the container; an errno is a failure. */
export function packSkips(tally: Tally, status: number, path: () => Buffer, size: number): void {
  const reason = reasons[status];
  if (reason !== undefined) tally.skip(reason, path, size);
  else tally.fail(status < 0 ? getSystemErrorName(status) : `status ${status}`, path(), size);
}
