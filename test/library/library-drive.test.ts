import test from 'ava';
import { HsmError } from '../../src/errors.ts';
import { driveMoves, LibraryDrive } from '../../src/library/library-drive.ts';
import type { SteadyDriveState } from '../../src/library/library-drive.ts';

const states = Object.keys(driveMoves) as SteadyDriveState[];
const paths: Record<SteadyDriveState, SteadyDriveState[]> = { empty: [], loading: ['loading'], ready: ['loading', 'ready'], failed: ['loading', 'failed'] };

test('a drive makes the moves of the table and no others', (t) => {
  for (const from of states) {
    for (const to of states) {
      const drive = new LibraryDrive('drive0');
      for (const step of paths[from]) drive.move(step);
      const allowed: readonly string[] = driveMoves[from];
      if (to === from || allowed.includes(to)) t.notThrows(() => drive.move(to), `${from} -> ${to}`);
      else t.throws(() => drive.move(to), { instanceOf: HsmError, code: 'BAD_MOVE' }, `${from} -> ${to}`);
    }
  }
});

test('a drive is busy while it is in exclusive use, and ready after a failure too', async (t) => {
  const drive = new LibraryDrive('drive0');
  drive.move('loading');
  drive.move('ready');
  const use = drive.exclusively(async () => {
    t.is(drive.state, 'busy');
    await t.throwsAsync(drive.exclusively(async () => undefined), { instanceOf: HsmError, code: 'EBUSY' });
    throw new Error('no luck');
  });
  await t.throwsAsync(use, { message: 'no luck' });
  t.is(drive.state, 'ready');
});
