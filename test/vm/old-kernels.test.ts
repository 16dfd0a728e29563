import test from 'ava';
import { guestScript, guestTest, longGuestTest, passesInGuest } from './rig/testing.ts';

const guest = guestTest(test);
const longGuest = longGuestTest(test);
const limit = 1_200_000;

for (const kernel of ['6.1', '6.12'] as const) {
  guest(`on Linux ${kernel} opens are guarded: every reader gets its file or an error, whoever is killed`, async (t) => {
    t.timeout(limit);
    await passesInGuest(t, { kernel, script: guestScript('old-kernel', 'open-only'), memoryMiB: 2500, limit });
  });
}

longGuest('on the newest kernel the same holds with accesses guarded', async (t) => {
  t.timeout(limit);
  await passesInGuest(t, { kernel: '7', script: guestScript('old-kernel', 'pre-access'), memoryMiB: 2500, limit });
});
