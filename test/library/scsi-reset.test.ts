import test from 'ava';
import { openScsiLibrary } from '../../src/library/scsi-library.ts';
import type { TapeDevice } from '../../src/media/st/tape-device.ts';
import { errno, type FakeReel } from '../fixtures/fake-tape.ts';
import { alertPage, commandOf, fakePages, supportedPage } from '../fixtures/log-pages.ts';
import { scsiRig } from '../fixtures/scsi-rig.ts';

/** What a drive and st know of a reset, and of a write without a filemark behind it. */
interface Reset {
  isUntold: boolean;
  failsNextWrite: boolean;
}

const unitAttention = { status: 2, sense: Buffer.from([0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x29, 4]), data: Buffer.alloc(0) };

/**
 * As drivers/scsi/st.c has it: after a write that no filemark followed, one is put before the tape is wound and at close, wherever the tape is; but
 * not once the driver knows of a reset, which it learns by the unit attention that the next command of its own gets. SG_IO is none of its own.
 */
function asSt(device: TapeDevice, reel: FakeReel, reset: Reset): TapeDevice {
  const answer = commandOf({ ...fakePages(), pages: new Map([[0, supportedPage([0, 0x2e])], [0x2e, alertPage([])]]) });
  let isWriting = false;
  let knowsOfReset = false;
  const hearOfReset = (): void => {
    if (!reset.isUntold) return;
    reset.isUntold = false;
    knowsOfReset = true;
    throw errno('EIO');
  };
  const putFilemark = (): void => {
    if (!isWriting || knowsOfReset) return;
    hearOfReset();
    reel.objects = [null];
    isWriting = false;
  };
  return {
    operation: async (operation, count) => {
      if (['MTREW', 'MTOFFL', 'MTSEEK'].includes(operation)) putFilemark();
      if (operation === 'MTWEOF' || operation === 'MTWEOFI') isWriting = false;
      return device.operation(operation, count);
    },
    write: async (data) => {
      isWriting = true;
      if (reset.failsNextWrite) {
        Object.assign(reset, { failsNextWrite: false, isUntold: true });
        throw errno('EIO', 'write');
      }
      hearOfReset();
      return device.write(data);
    },
    status: () => device.status(),
    position: () => device.position(),
    read: (into) => device.read(into),
    command: async (cdb, reply, timeoutMs) => {
      if (!reset.isUntold) return answer(cdb, reply, timeoutMs);
      reset.isUntold = false;
      return unitAttention;
    },
    close: () => {
      try {
        putFilemark();
      } catch {
        // The filemark met the unit attention: nothing was written.
      }
      device.close();
    },
  };
}

test('a drive that resets itself in the middle of a container, and is asked how it is, keeps what was on the tape', async (t) => {
  const rig = await scsiRig(t);
  const reel = rig.reels.get('S00001L9');
  if (reel === undefined) throw new Error('no reel');
  const reset: Reset = { isUntold: false, failsNextWrite: false };
  const { openDevice } = rig.options;
  let told = 0;
  const library = await openScsiLibrary({ ...rig.options, openDevice: async (path: string) => asSt(await openDevice(path), reel, reset), onTold: () => (told += 1) });
  t.teardown(() => library.close());
  const medium = await library.load('S00001L9', 'drive0');
  for (let i = 0; i < 5; i += 1) await medium.writeBlock(Buffer.alloc(80));
  await medium.writeFilemark({ sync: true });
  reset.failsNextWrite = true;
  await t.throwsAsync(medium.writeBlock(Buffer.alloc(1000)));
  await library.unload('drive0');
  t.true(told > 0);
  t.is(reel.objects.length, 6);
});
