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

const hollow = { size: 10_000, blocks: 0 };
const full = { size: 10_000, blocks: 24 };

const cases: readonly (readonly [string, Inode, Partial<Verdict>])[] = [
  ['no record is resident', { stat: full, handleHash: 1, bytes: null }, { kind: 'resident', dropRecord: false }],
  ['our hollow inode is a stub', { stat: hollow, handleHash: record.handleHash, bytes }, { kind: 'stub', own: true }],
  ['our inode with some blocks is a stub whose recall was cut short', { stat: { size: 10_000, blocks: 8 }, handleHash: record.handleHash, bytes }, { kind: 'stub', own: true }],
  ['a copy with data and a foreign record is resident', { stat: full, handleHash: 1, bytes }, { kind: 'resident', dropRecord: true }],
  ['a hollow copy may be filled from the object it names', { stat: hollow, handleHash: 1, bytes }, { kind: 'stub', own: false }],
  ['a hollow copy of another size is refused', { stat: { size: 5, blocks: 0 }, handleHash: 1, bytes }, { kind: 'refuse', errno: 'EIO' }],
  ['our inode with data and another size was changed by its user', { stat: { size: 20_000, blocks: 40 }, handleHash: record.handleHash, bytes }, { kind: 'resident', dropRecord: true }],
  ['our inode of another size that lacks blocks is refused, never zeros', { stat: { size: 20_000, blocks: 8 }, handleHash: record.handleHash, bytes }, { kind: 'refuse', errno: 'EIO' }],
  ['our hollow inode of another size is refused, never zeros', { stat: { size: 20_000, blocks: 0 }, handleHash: record.handleHash, bytes }, { kind: 'refuse', errno: 'EIO' }],
  ['an emptied file is resident', { stat: { size: 0, blocks: 0 }, handleHash: record.handleHash, bytes }, { kind: 'resident', dropRecord: true }],
  ['a damaged record on a hollow inode is refused', { stat: hollow, handleHash: record.handleHash, bytes: damaged }, { kind: 'refuse', errno: 'EIO' }],
  ['a damaged record on data is resident', { stat: full, handleHash: 1, bytes: damaged }, { kind: 'resident', dropRecord: true }],
  ['a record of another length on a hollow inode is refused', { stat: hollow, handleHash: 1, bytes: Buffer.alloc(10) }, { kind: 'refuse', errno: 'EIO' }],
];

for (const [title, inode, expected] of cases) {
  test(title, (t) => {
    t.like(classify(inode), expected);
  });
}

test('no hollow inode with a record is ever resident', (t) => {
  for (const handleHash of [record.handleHash, 1]) {
    for (const value of [bytes, damaged, Buffer.alloc(0), Buffer.alloc(64), Buffer.alloc(65, 1)]) {
      for (const size of [1, 9999, 10_000, 10_001]) t.not(classify({ stat: { size, blocks: 0 }, handleHash, bytes: value }).kind, 'resident');
    }
  }
});
