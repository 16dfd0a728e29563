import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { HsmError } from '../../src/errors.ts';
import { addCartridges, createVirtualLibrary, openVirtualLibrary } from '../../src/library/virtual-library.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

test('a library has one user at a time, in one process and over several, and none after kill -9', async (t) => {
  const dir = join(await temporaryFolder(t), 'library');
  await createVirtualLibrary(dir, { drives: 1, cartridges: 1, capacity: 2 ** 20 });
  const library = await openVirtualLibrary(dir);
  const refused = { instanceOf: HsmError, code: 'REFUSED' };
  const error = await t.throwsAsync<HsmError>(openVirtualLibrary(dir), refused);
  t.is(error.exit, 5);
  await t.throwsAsync(addCartridges(dir, { count: 1 }), refused);
  await library.close();
  t.deepEqual(await addCartridges(dir, { count: 1 }), [{ barcode: 'V00002L9', capacity: 2 ** 20 }]);

  const holder = execFile(process.execPath, [fileURLToPath(new URL('../fixtures/library-holder.ts', import.meta.url)), dir], { timeout: 30_000 });
  t.teardown(() => holder.kill('SIGKILL'));
  const ended = once(holder, 'exit');
  await once(holder.stdout!, 'data');
  await t.throwsAsync(openVirtualLibrary(dir), refused);
  holder.kill('SIGKILL');
  await ended;
  const again = await openVirtualLibrary(dir);
  t.is((await again.inventory()).slots.length, 2);
  await again.close();
});
