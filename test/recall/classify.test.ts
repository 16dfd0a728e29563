import test from 'ava';
import { classify, type Inode, type Verdict } from '../../src/recall/classify.ts';
import { encodeStubRecord, type StubRecord } from '../../src/stub.ts';

const record: StubRecord = {
  flags: 0,
  volume: '948324L8',
  container: 3342,
  offset: 512,
  object: Buffer.alloc(16, 7),
  size: 10_000,
  mtimeNs: 1_500_000_000_000_000_222n,
  handleHash: 0xdead_beef,
};
const bytes = encodeStubRecord(record);
const damaged = Buffer.from(bytes);
damaged[30] = (damaged[30] ?? 0) ^ 1;

const hollow = { stat: { size: 10_000, mtimeNs: 0n }, range: { data: -1, hole: 0 } };
const half = { stat: { size: 10_000, mtimeNs: 0n }, range: { data: 0, hole: 4096 } };
const full = { stat: { size: 10_000, mtimeNs: 0n }, range: { data: 0, hole: 10_000 } };

const cases: readonly (readonly [string, Inode, Partial<Verdict>])[] = [
  ['no record is resident', { ...full, handleHash: 1, bytes: null }, { kind: 'resident', dropRecord: false }],
  ['our hollow inode is a stub', { ...hollow, handleHash: record.handleHash, bytes }, { kind: 'stub', own: true }],
  ['our inode with some blocks is a stub whose recall was cut short', { stat: { size: 10_000, mtimeNs: 0n }, range: { data: 0, hole: 4096 }, handleHash: record.handleHash, bytes }, { kind: 'stub', own: true }],
  ['a copy with data and a foreign record is resident', { ...full, handleHash: 1, bytes }, { kind: 'resident', dropRecord: true }],
  ['a hollow copy may be filled from the object it names', { ...hollow, handleHash: 1, bytes }, { kind: 'stub', own: false }],
  ['a hollow copy of another size is refused', { stat: { size: 5, mtimeNs: 0n }, range: { data: -1, hole: 0 }, handleHash: 1, bytes }, { kind: 'refuse', errno: 'EIO' }],
  ['our inode with data and another size was changed by its user', { stat: { size: 20_000, mtimeNs: 0n }, range: { data: 0, hole: 20_000 }, handleHash: record.handleHash, bytes }, { kind: 'resident', dropRecord: true }],
  ['our inode of another size that lacks blocks is refused, never zeros', { stat: { size: 20_000, mtimeNs: 0n }, range: { data: 0, hole: 4096 }, handleHash: record.handleHash, bytes }, { kind: 'refuse', errno: 'EIO' }],
  ['our hollow inode of another size is refused, never zeros', { stat: { size: 20_000, mtimeNs: 0n }, range: { data: -1, hole: 0 }, handleHash: record.handleHash, bytes }, { kind: 'refuse', errno: 'EIO' }],
  ['an emptied file is resident', { stat: { size: 0, mtimeNs: 0n }, range: { data: -1, hole: 0 }, handleHash: record.handleHash, bytes }, { kind: 'resident', dropRecord: true }],
  ['a damaged record on a hollow inode is refused', { ...hollow, handleHash: record.handleHash, bytes: damaged }, { kind: 'refuse', errno: 'EIO' }],
  ['a damaged record on data is resident', { ...full, handleHash: 1, bytes: damaged }, { kind: 'resident', dropRecord: true }],
  ['a damaged record on data with holes is refused: it may be half a file', { ...half, handleHash: 1, bytes: damaged }, { kind: 'refuse', errno: 'EIO' }],
  ['a foreign record on half a file of another mtime is refused: it may be a snapshot of a recall', { ...half, handleHash: 1, bytes }, { kind: 'refuse', errno: 'EIO' }],
  ['a copy of a sparse file, mtime and all, is resident', { ...half, stat: { size: 10_000, mtimeNs: record.mtimeNs }, handleHash: 1, bytes }, { kind: 'resident', dropRecord: true }],
  ['a record of another length on a hollow inode is refused', { ...hollow, handleHash: 1, bytes: Buffer.alloc(10) }, { kind: 'refuse', errno: 'EIO' }],
];

for (const [title, inode, expected] of cases) {
  test(title, (t) => {
    t.like(classify(inode), expected);
  });
}

test('no hollow inode with a record is ever resident', (t) => {
  for (const handleHash of [record.handleHash, 1]) {
    for (const value of [bytes, damaged, Buffer.alloc(0), Buffer.alloc(64), Buffer.alloc(65, 1)]) {
      for (const size of [1, 9999, 10_000, 10_001]) t.not(classify({ stat: { size, mtimeNs: 0n }, range: { data: -1, hole: 0 }, handleHash, bytes: value }).kind, 'resident');
    }
  }
});
