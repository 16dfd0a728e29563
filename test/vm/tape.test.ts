import test from 'ava';
import { guestScript, passesInGuest, tapeGuestTest } from './rig/testing.ts';
import { tapeLibrary } from './rig/tape-library.ts';

const guest = tapeGuestTest(test);
const limit = 1_200_000;

guest('drives behind the st driver do what every medium must do', async (t) => {
  t.timeout(limit);
  const devices = await tapeLibrary(t, { drives: 2, slots: 48, sizeMiB: 64 });
  await passesInGuest(t, { kernel: '7', script: guestScript('st-medium'), devices, limit });
});

guest('a drive without a robot asks its operator for cartridges, by their labels', async (t) => {
  t.timeout(limit);
  const devices = await tapeLibrary(t, { drives: 1, slots: 4, sizeMiB: 64 });
  await passesInGuest(t, { kernel: '7', script: guestScript('operator'), devices, limit });
});

guest('files go to tape and come back through robot and drives', async (t) => {
  t.timeout(limit);
  const devices = await tapeLibrary(t, { drives: 2, slots: 8, sizeMiB: 64 });
  await passesInGuest(t, { kernel: '7', script: guestScript('tape-job'), devices, limit });
});
