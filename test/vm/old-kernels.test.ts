import test from 'ava';
import { guestScript, guestTest, longGuestTest, passesInGuest } from './rig/testing.ts';
import type { KernelName } from './rig/kernels.ts';

const limit = 1_200_000;

function life(guest: ReturnType<typeof guestTest>, kernel: KernelName, guard: 'open-only' | 'pre-access', type: 'ext4' | 'xfs' | 'btrfs'): void {
  guest(`on Linux ${kernel} and ${type}, guarded by ${guard === 'open-only' ? 'opens' : 'accesses'}, every reader gets its file or an error, whoever is killed`, async (t) => {
    t.timeout(limit);
    await passesInGuest(t, { kernel, script: guestScript('old-kernel', guard, type), memoryMiB: 2500, limit });
  });
}

const always = guestTest(test);
const long = longGuestTest(test);
life(always, '6.1', 'open-only', 'ext4');
life(always, '6.1', 'open-only', 'xfs');
life(always, '6.12', 'open-only', 'ext4');
life(always, '6.12', 'open-only', 'btrfs');
life(long, '6.1', 'open-only', 'btrfs');
life(long, '6.12', 'open-only', 'xfs');
for (const type of ['ext4', 'xfs', 'btrfs'] as const) life(long, '7', 'pre-access', type);

for (const kernel of ['6.1', '6.12'] as const) {
  long(`on Linux ${kernel} hsm doctor --deep finds no wrong byte${kernel === '6.1' ? ', but for overlays' : ''}`, async (t) => {
    t.timeout(3 * limit);
    await passesInGuest(t, { kernel, script: guestScript('deep'), memoryMiB: 3500, limit: 3 * limit });
  });
}
