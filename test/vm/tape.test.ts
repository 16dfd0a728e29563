import test from 'ava';
import { guestScript, guestTest, passesInGuest, tapeGuestTest } from './rig/testing.ts';
import { tapeLibrary } from './rig/tape-library.ts';

const guest = tapeGuestTest(test);
const limit = 1_200_000;

guest('drives behind the st driver do what every medium must do', async (t) => {
  t.timeout(limit);
  const { devices } = await tapeLibrary(t, { drives: 2, slots: 48, sizeMiB: 64 });
  await passesInGuest(t, { kernel: '7', script: guestScript('st-medium'), devices, limit });
});

guestTest(test)("drives of the kernel's own emulation, which tell positions, do it too", async (t) => {
  t.timeout(limit);
  await passesInGuest(t, { kernel: '7', script: guestScript('st-debug'), limit });
});

guest('a drive without a robot asks its operator for cartridges, by their labels', async (t) => {
  t.timeout(limit);
  const { devices } = await tapeLibrary(t, { drives: 1, slots: 4, sizeMiB: 64 });
  await passesInGuest(t, { kernel: '7', script: guestScript('operator'), devices, limit });
});

guest('files go to tape and come back through robot and drives', async (t) => {
  t.timeout(limit);
  const { devices } = await tapeLibrary(t, { drives: 2, slots: 8, sizeMiB: 64 });
  await passesInGuest(t, { kernel: '7', script: guestScript('tape-job'), devices, limit });
});

guest('a library that dies in the middle of an archive run and of recalls loses nothing, and no reader gets a wrong byte', async (t) => {
  t.timeout(limit);
  const { devices, crash, restart } = await tapeLibrary(t, { drives: 2, slots: 12, sizeMiB: 64 });
  let cuts = 0;
  const onLine = (line: string): void => {
    if (line !== 'cut') return;
    cuts += 1;
    void crash().then(restart);
  };
  await passesInGuest(t, { kernel: '7', script: guestScript('tape-crash'), devices, limit, onLine });
  t.is(cuts, 2);
});

guest('reclaim, a lost catalogue and a lost filesystem, on robot and drives', async (t) => {
  t.timeout(limit);
  const { devices } = await tapeLibrary(t, { drives: 2, slots: 5, sizeMiB: 64, cleaning: 1 });
  await passesInGuest(t, { kernel: '7', script: guestScript('tape-recovery'), devices, limit });
});
