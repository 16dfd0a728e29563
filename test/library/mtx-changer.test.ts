import test from 'ava';
import { HsmError } from '../../src/errors.ts';
import { MtxChanger, parseMtxStatus } from '../../src/library/mtx-changer.ts';

test('the status of mtx 1.3 is understood: drives, slots, doors, barcodes and their lack', (t) => {
  const text = `  Storage Changer /dev/sch0:3 Drives, 5 Slots ( 2 Import/Export )
Data Transfer Element 0:Full (Storage Element 1 Loaded):VolumeTag = TAP001L8                        
Data Transfer Element 1:Empty
Data Transfer Element 2:Full (Unknown Storage Element Loaded)
      Storage Element 1:Empty
      Storage Element 2:Full :VolumeTag=TAP002L8                        
      Storage Element 3:Full 
      Storage Element 4 IMPORT/EXPORT:Empty:VolumeTag=                                
      Storage Element 5 IMPORT/EXPORT:Full :VolumeTag=TAP005L8                        
`;
  t.deepEqual(parseMtxStatus(text), {
    drives: [
      { number: 0, full: true, barcode: 'TAP001L8', from: 1 },
      { number: 1, full: false, barcode: null, from: null },
      { number: 2, full: true, barcode: null, from: null },
    ],
    slots: [
      { number: 1, full: false, barcode: null, importExport: false },
      { number: 2, full: true, barcode: 'TAP002L8', importExport: false },
      { number: 3, full: true, barcode: null, importExport: false },
      { number: 4, full: false, barcode: null, importExport: true },
      { number: 5, full: true, barcode: 'TAP005L8', importExport: true },
    ],
  });
});

test('what is no robot is told so', (t) => {
  t.throws(() => parseMtxStatus('nonsense'), { instanceOf: HsmError, code: 'EIO' });
});

test('a missing mtx, a failing one and one that hangs are one line that says so', async (t) => {
  const changer = (command: readonly [string, ...string[]], timeoutMs = 20_000) => new MtxChanger({ device: '/dev/sch9', command, timeoutMs });
  await t.throwsAsync(changer(['/nonexistent/mtx']).inventory(), { instanceOf: HsmError, code: 'EIO', message: /robot \/dev\/sch9 failed to status: there is no program mtx: install it/ });
  await t.throwsAsync(changer(['sh', '-c', 'echo sense >&2; echo "MOVE MEDIUM failed" >&2; exit 1', 'mtx']).load(3, 1), {
    instanceOf: HsmError,
    code: 'EIO',
    message: 'the robot /dev/sch9 failed to load 3 1: MOVE MEDIUM failed',
  });
  await t.throwsAsync(changer(['sleep', '60', '--'], 100).unload(1, 3), { instanceOf: HsmError, code: 'EIO' });
});
