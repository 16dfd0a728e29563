/** A job of a hundred thousand files takes some 100 MB, most of which neither V8 nor malloc would give back while the daemon idles. */
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { native } from '../native/index.ts';

let collectGarbage: ((options: { type: 'major'; execution: 'async' }) => Promise<void>) | null = null;

/** Gives what nobody uses any more back to the system. Costs some ten milliseconds, a part of them on the JavaScript thread. */
export async function freeMemory(): Promise<void> {
  collectGarbage ??= exposedCollector();
  // What the addon allocated is freed in the turn after the collection that found its owner gone; what that one kept alive, by the next.
  for (let round = 0; round < 2; round += 1) {
    await turn();
    await collectGarbage({ type: 'major', execution: 'async' });
    await turn();
  }
  await native.trimMemory();
}

/** What `node --expose-gc` would have made a global. */
function exposedCollector(): NonNullable<typeof collectGarbage> {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as NonNullable<typeof collectGarbage>;
}
