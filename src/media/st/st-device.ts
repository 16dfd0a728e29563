/** A tape drive behind the st driver: /dev/nstN, opened as hsm needs it. */
import { closeSync, constants, openSync } from 'node:fs';
import { errorCode, HsmError } from '../../errors.ts';
import { native } from '../../native/index.ts';
import type { TapeDevice } from './tape-device.ts';

/**
 * Opens the non-rewinding node of a drive and sets what the driver's defaults get wrong (st(4), MTSETDRVBUFFER): variable blocks;
 * no buffered or asynchronous writes, whose errors would belong to nobody, no read ahead, no second filemark at close, no lock of
 * the door; positions are logical. MT_ST_SILI stays off, since with it a block longer than asked for would be cut in silence.
 * An empty drive takes no settings: its status says that it is not online. Fails with `EBUSY` when another program has the drive,
 * `DRIVE_DOWN` when there is none.
 */
export async function openStDevice(path: string): Promise<TapeDevice> {
  const fd = openDrive(path);
  try {
    if ((await native.tapeStatus(fd)).online) await setUp(fd);
  } catch (cause) {
    letGo(fd);
    throw new HsmError('EIO', `${path} refused its settings: ${(cause as Error).message}`, { path, cause });
  }
  return {
    operation: (operation, count) => native.tapeOperation(fd, native.tape[operation], count),
    status: () => native.tapeStatus(fd),
    position: () => native.tapePosition(fd),
    read: (into) => native.tapeRead(fd, into),
    write: (data) => native.tapeWrite(fd, data),
    command: (cdb, reply, timeoutMs) => native.scsiCommand(fd, cdb, reply, timeoutMs),
    close: () => letGo(fd),
  };
}

/**
 * What counts has been confirmed by a filemark before. A drive that was reset, or whose cartridge went, makes close(2) fail for no other reason, and the
 * descriptor is gone all the same: the next load must not fail for the last one.
 */
function letGo(fd: number): void {
  try {
    closeSync(fd);
  } catch (error) {
    if (errorCode(error) !== 'EIO') throw error;
  }
}

/** After a reset of the drive the driver refuses everything until the tape was rewound: nobody knows where it is. */
async function setUp(fd: number): Promise<void> {
  try {
    await applySettings(fd);
  } catch (error) {
    if (errorCode(error) !== 'EIO') throw error;
    await native.tapeOperation(fd, native.tape.MTREW, 1);
    await applySettings(fd);
  }
}

async function applySettings(fd: number): Promise<void> {
  const { tape } = native;
  await native.tapeOperation(fd, tape.MTSETBLK, 0);
  const off = tape.bufferWrites | tape.asyncWrites | tape.readAhead | tape.twoFilemarks | tape.autoLock | tape.fastEom;
  await native.tapeOperation(fd, tape.MTSETDRVBUFFER, tape.clearBooleans | off);
  await native.tapeOperation(fd, tape.MTSETDRVBUFFER, tape.setBooleans | tape.scsi2Logical | tape.canBsr);
}

/** O_NONBLOCK: an empty drive would hold a blocking open up for two minutes. */
function openDrive(path: string): number {
  try {
    return openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EBUSY') throw new HsmError('EBUSY', `${path} is in use by another program`, { retry: 'later', path, cause });
    throw new HsmError('DRIVE_DOWN', `cannot open the tape drive ${path}: ${code ?? String(cause)}`, { retry: 'later', path, cause });
  }
}
