import test from 'ava';
import { elementsOf, parseDriveIdentifiers, serialNumber } from '../../src/library/scsi-serials.ts';

/** READ ELEMENT STATUS as tgt answered it: two drives with volume tags and T10 identifiers, the first of them full. */
function reply(): Buffer {
  const drive = (address: number, tag: string, serial: string): Buffer => {
    const descriptor = Buffer.alloc(86);
    descriptor.writeUInt16BE(address, 0);
    descriptor.write(tag.padEnd(32), 12, 'latin1');
    descriptor.set([2, 1, 0, 34], 48);
    descriptor.write(`RIG     VDRIVE          ${serial}`, 52, 'latin1');
    return descriptor;
  };
  const header = Buffer.from([0, 1, 0, 2, 0, 0, 0, 180]);
  const page = Buffer.from([4, 0x80, 0, 86, 0, 0, 0, 172]);
  return Buffer.concat([header, page, drive(1, 'TAP001L8', 'DRV0000001'), drive(2, '', 'DRV0000002'), Buffer.alloc(100)]);
}

test('drives are found by serial in what the robot says of its elements', (t) => {
  const identifiers = parseDriveIdentifiers(reply());
  t.deepEqual(identifiers, ['RIG     VDRIVE          DRV0000001', 'RIG     VDRIVE          DRV0000002']);
  t.deepEqual(elementsOf(['DRV0000002', 'DRV0000001'], identifiers), [1, 0]);
  t.deepEqual(elementsOf(['DRV0000009'], identifiers), [null]);
  t.deepEqual(elementsOf(['X'], ['X', 'X']), [null], 'a serial that two drives bear names neither');
  t.deepEqual(elementsOf(['HU1'], ['HU1', null]), [0], 'also where the identifier is the serial alone');
});

test('the last drive is the one that is left over, and nothing else is guessed', (t) => {
  t.deepEqual(elementsOf(['B', 'A'], ['A', null]), [1, 0]);
  t.deepEqual(elementsOf(['B', 'A'], ['A', null, null]), [null, 0]);
  t.deepEqual(elementsOf(['B', 'C', 'A'], ['A', null, null]), [null, null, 0]);
});

test('a robot that answers nothing, half or nonsense names no drive', (t) => {
  for (let length = 0; length < reply().length; length += 1) t.notThrows(() => parseDriveIdentifiers(reply().subarray(0, length)));
  t.deepEqual(parseDriveIdentifiers(Buffer.alloc(0)), []);
  t.notThrows(() => parseDriveIdentifiers(Buffer.alloc(500, 0xff)));
});

test('what cannot be asked is one clear error', async (t) => {
  await t.throwsAsync(serialNumber('/dev/no-such-drive'), { code: 'DRIVE_DOWN', message: /cannot open \/dev\/no-such-drive: ENOENT/ });
  await t.throwsAsync(serialNumber('/dev/null'), { code: 'DRIVE_DOWN', message: /cannot be asked: ENOTTY/ });
});
