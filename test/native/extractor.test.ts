import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, ftruncateSync, linkSync, lstatSync, mkdirSync, openSync, readFileSync, statfsSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { extractStatus, native, packStatus, type CommitItem, type ExtractResult, type ExtractTarget } from '../../src/native/index.ts';
import { encodeStubRecord, stubXattr } from '../../src/stub.ts';
import { filesystemTypes, kernelTest, loopFilesystem } from '../fixtures/loopfs.ts';
import { inputOf, newPacker, pack, type PackedRow } from '../fixtures/pack.ts';
import { seededBytes, seededRandom } from '../fixtures/random.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

const onKernel = kernelTest(test);
const enospc = -28;

/** A packed file, and what it was. */
interface Archived {
  readonly path: string;
  readonly row: PackedRow;
  readonly content: Buffer;
  readonly blocks: number;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
}

interface Scene {
  readonly root: string;
  readonly container: Buffer;
  readonly files: readonly Archived[];
}

const layouts: Readonly<Record<string, { size: number; data: readonly (readonly [at: number, length: number])[] }>> = {
  tiny: { size: 1, data: [[0, 1]] },
  small: { size: 5000, data: [[0, 5000]] },
  'one mebibyte': { size: 2 ** 20, data: [[0, 2 ** 20]] },
  large: { size: 3 * 2 ** 20 + 77, data: [[0, 3 * 2 ** 20 + 77]] },
  'sparse small': { size: 400_000, data: [[131_072, 5]] },
  'sparse large': { size: 9_000_000, data: [[0, 4096], [2 ** 20, 70_000], [8_999_999, 1]] }, // prettier-ignore
  'hole at the end': { size: 5_000_000, data: [[65_536, 300_000]] },
  last: { size: 20_000, data: [[0, 20_000]] },
};

/** Files of every kind, packed. */
async function archive(t: ExecutionContext, root: string): Promise<Scene> {
  mkdirSync(join(root, 'data'));
  const names = Object.keys(layouts);
  for (const [i, name] of names.entries()) {
    const fd = openSync(join(root, 'data', name), 'w');
    ftruncateSync(fd, layouts[name]?.size ?? 0);
    for (const [at, length] of layouts[name]?.data ?? []) writeSync(fd, seededBytes(i * 1000 + at, length), 0, length, at);
    native.setTimes(fd, 1_111_111_111_222_222_333n, 1_444_444_444_555_555_666n);
    closeSync(fd);
  }
  const fd = openSync(root, 'r');
  await native.syncfs(fd);
  closeSync(fd);
  const { container, rows } = await pack(
    newPacker(t, root),
    [inputOf(root, names.map((name) => `data/${name}`))], // prettier-ignore
  );
  const files = names.map((name, i): Archived => {
    const path = join(root, 'data', name);
    const { blocks, atimeNs, mtimeNs } = lstatSync(path, { bigint: true });
    const row = rows[i];
    if (row?.status !== packStatus.packed) throw new Error(`${name} was not packed: ${row?.status}`);
    return { path, row, content: readFileSync(path), blocks: Number(blocks), atimeNs, mtimeNs };
  });
  return { root, container, files };
}

const recordOf = ({ path, row }: Archived): Buffer =>
  encodeStubRecord({
    flags: 0,
    volume: 'V00001L9',
    container: 1,
    offset: row.offset,
    object: row.objectId,
    size: row.size,
    mtimeNs: row.mtimeNs,
    handleHash: native.handleHash(native.fileHandle(-100, path)),
  });

/** A stub as the eviction leaves it, open for the restore. */
function makeStub(t: ExecutionContext, file: Archived): number {
  const fd = openSync(file.path, constants.O_RDWR | constants.O_NOATIME);
  t.teardown(() => closeSync(fd));
  native.setxattr(fd, stubXattr, recordOf(file));
  native.punchHole(fd, 0, Math.ceil(file.row.size / 65_536) * 65_536);
  native.setTimes(fd, file.atimeNs, file.mtimeNs);
  return fd;
}

const targetOf = (file: Archived, fd: number, change: Partial<ExtractTarget> = {}): ExtractTarget => ({
  offset: file.row.offset,
  objectId: file.row.objectId,
  size: file.row.size,
  sha256: file.row.sha256,
  fd,
  record: fd < 0 ? null : recordOf(file),
  ...change,
});

const itemOf = (file: Archived, fd: number): CommitItem => ({ fd, size: file.row.size, atimeNs: file.atimeNs, mtimeNs: file.mtimeNs });

/** The statuses by target, after all of `data` was fed in pieces. */
async function extract(targets: readonly ExtractTarget[], data: Buffer, pieces: (at: number) => number = () => 2 ** 20): Promise<number[]> {
  const extractor = new native.Extractor(targets);
  const results: ExtractResult[] = [];
  for (let at = 0; at < data.length; ) {
    const length = pieces(at);
    results.push(...(await extractor.feed(at, data.subarray(at, at + length))));
    at += length;
  }
  results.push(...extractor.finish());
  const status: number[] = [];
  for (const { target, status: each } of results) {
    if (status[target] !== undefined) throw new Error(`target ${target} ended twice`);
    status[target] = each;
  }
  return status;
}

const hollow = (fd: number): boolean => fstatSync(fd).blocks === 0 || readFileSync(`/proc/self/fd/${fd}`).every((byte) => byte === 0);

for (const type of filesystemTypes) {
  onKernel(`stubs on ${type} get their bytes, holes and times back, and are ordinary files after the commit`, async (t) => {
    const { container, files } = await archive(t, await loopFilesystem(t, type, 128));
    const fds = files.map((file) => makeStub(t, file));
    const status = await extract(
      files.map((file, i) => targetOf(file, fds[i] ?? -1)),
      container,
    );
    t.deepEqual(
      status,
      files.map(() => extractStatus.restored),
    );
    for (const fd of fds) t.is(native.getxattr(fd, stubXattr)?.length, 64);
    const committed = await native.commitRestore(
      -1,
      files.map((file, i) => itemOf(file, fds[i] ?? -1)),
    );
    for (const [i, file] of files.entries()) {
      const stat = lstatSync(file.path, { bigint: true });
      t.is(committed.status[i], 0);
      t.is(committed.ctimeNs[i], stat.ctimeNs);
      t.is(stat.mtimeNs, file.mtimeNs);
      t.is(stat.atimeNs, file.atimeNs);
      t.is(Number(stat.size), file.row.size);
      t.is(native.getxattr(file.path, stubXattr), null);
      t.true(readFileSync(file.path).equals(file.content));
      if (file.row.size > file.content.byteLength || file.path.includes('sparse') || file.path.includes('hole')) {
        t.true(Number(stat.blocks) <= file.blocks, `${file.path}: ${stat.blocks} blocks instead of ${file.blocks}`);
      }
    }
  });
}

onKernel('blocks may be of any length', async (t) => {
  const { container, files } = await archive(t, await loopFilesystem(t, 'ext4', 64));
  const random = seededRandom(1);
  const lengths: ((at: number) => number)[] = [() => 512, () => 1000, () => 4096, () => 65_537, () => container.length, () => 1 + Math.floor(random() * 300_000)];
  for (const pieces of lengths) {
    const status = await extract(
      files.map((file) => targetOf(file, -1)),
      container,
      pieces,
    );
    t.true(status.every((each) => each === extractStatus.restored));
  }
});

onKernel('only what is needed has to be fed, and needs tells what that is', async (t) => {
  const { container, files } = await archive(t, await loopFilesystem(t, 'ext4', 64));
  const wanted = [files[7], files[1], files[5]].filter((file) => file !== undefined);
  const extractor = new native.Extractor(wanted.map((file) => targetOf(file, -1)));
  t.is(extractor.needs, files[1]?.row.offset ?? -1);
  const results: ExtractResult[] = [];
  while (extractor.needs >= 0) {
    const at = Math.floor(extractor.needs / 512) * 512;
    results.push(...(await extractor.feed(at, container.subarray(at, at + 2048))));
  }
  t.deepEqual(
    results.map(({ target, status }) => [target, status]),
    [
      [1, extractStatus.restored],
      [2, extractStatus.restored],
      [0, extractStatus.restored],
    ],
  );
  t.deepEqual(extractor.finish(), []);
  t.is(extractor.done(1), 5000);
  t.throws(() => extractor.done(3));
});

onKernel('done tells how much of a target is written', async (t) => {
  const { container, files } = await archive(t, await loopFilesystem(t, 'ext4', 64));
  const large = files[3];
  if (large === undefined) return t.fail();
  const fd = makeStub(t, large);
  const extractor = new native.Extractor([targetOf(large, fd)]);
  const start = large.row.offset + large.row.headerLength;
  t.deepEqual(await extractor.feed(large.row.offset, container.subarray(large.row.offset, start + 2 ** 20)), []);
  t.is(extractor.done(0), 2 ** 20);
  t.is(extractor.needs, start + 2 ** 20);
});

for (const type of filesystemTypes) {
  onKernel(`a wrong hash is found, and undoing it leaves the stub as it was, on ${type}`, async (t) => {
    const { container, files } = await archive(t, await loopFilesystem(t, type, 128));
    const fds = files.map((file) => makeStub(t, file));
    const damaged = Buffer.from(container);
    for (const { row } of files) {
      const member = native.parseMember(container.subarray(row.offset));
      const last = row.offset + row.headerLength + (member.status === 'ok' ? member.payload : 0) - 1;
      damaged[last] = (damaged[last] ?? 0) ^ 0x10;
    }
    const status = await extract(
      files.map((file, i) => targetOf(file, fds[i] ?? -1)),
      damaged,
    );
    t.deepEqual(
      status,
      files.map(() => extractStatus.badHash),
    );
    for (const [i, file] of files.entries()) {
      const fd = fds[i] ?? -1;
      await native.undoRestore(itemOf(file, fd));
      const stat = fstatSync(fd, { bigint: true });
      t.deepEqual([stat.size, stat.mtimeNs, stat.atimeNs], [BigInt(file.row.size), file.mtimeNs, file.atimeNs]);
      t.deepEqual(native.getxattr(fd, stubXattr), recordOf(file));
      t.true(Number(stat.blocks) * 512 < 4096 || type !== 'ext4');
      t.true(hollow(fd));
    }
  });

  onKernel(`nothing is written on ${type} where the file is no longer the stub that was asked for`, async (t) => {
    const { container, files } = await archive(t, await loopFilesystem(t, type, 128));
    const [tiny, small, large] = [files[0], files[1], files[3]];
    if (tiny === undefined || small === undefined || large === undefined) return t.fail();
    const fds = [tiny, small, large].map((file) => makeStub(t, file));
    const other = Buffer.from(recordOf(tiny));
    other[63] = (other[63] ?? 0) ^ 1;
    native.setxattr(fds[0] ?? -1, stubXattr, other);
    native.removexattr(fds[1] ?? -1, stubXattr);
    // As open(O_TRUNC) does it: the record stays.
    ftruncateSync(fds[2] ?? -1, 10);
    const status = await extract(
      [tiny, small, large].map((file, i) => targetOf(file, fds[i] ?? -1)),
      container,
    );
    t.deepEqual(status, [extractStatus.recordChanged, extractStatus.recordChanged, extractStatus.recordChanged]);
    for (const fd of fds) t.true(hollow(fd));
    t.is(fstatSync(fds[2] ?? -1).size, 10);
  });

  onKernel(`leftovers of a restore that died do not show in the holes, on ${type}`, async (t) => {
    const { container, files } = await archive(t, await loopFilesystem(t, type, 128));
    const sparse = files.filter(({ path }) => path.includes('sparse') || path.includes('hole'));
    const fds = sparse.map((file) => {
      const fd = makeStub(t, file);
      writeSync(fd, Buffer.alloc(file.row.size, 0xee), 0, file.row.size, 0);
      return fd;
    });
    const status = await extract(
      sparse.map((file, i) => targetOf(file, fds[i] ?? -1)),
      container,
    );
    t.true(status.every((each) => each === extractStatus.restored));
    for (const { path, content } of sparse) t.true(readFileSync(path).equals(content));
  });

  onKernel(`no byte is written on ${type} when there is no space for all of them`, async (t) => {
    const root = await loopFilesystem(t, type, 128);
    const { container, files } = await archive(t, root);
    const large = files[3];
    if (large === undefined) return t.fail();
    const fd = makeStub(t, large);
    await native.syncfs(fd);
    fill(root);
    const [status] = await extract([targetOf(large, fd)], container);
    t.is(status, enospc);
    t.true(hollow(fd));
    await native.undoRestore(itemOf(large, fd));
    t.is(native.getxattr(fd, stubXattr)?.length, 64);
  });
}

/** Leaves less than 2 MiB. */
function fill(root: string): void {
  const fd = openSync(join(root, 'filler'), 'w');
  for (let at = 0, length = 2 ** 23; length >= 2 ** 20; ) {
    const { bavail, bsize } = statfsSync(root);
    if (bavail * bsize < length && length > 2 ** 20) {
      length /= 2;
      continue;
    }
    try {
      at += writeSync(fd, seededBytes(at, length), 0, length, at);
    } catch {
      length /= 2;
    }
  }
  closeSync(fd);
}

onKernel('another member at the offset is noticed', async (t) => {
  const { container, files } = await archive(t, await loopFilesystem(t, 'ext4', 64));
  const [tiny, small, large] = [files[0], files[1], files[3]];
  if (tiny === undefined || small === undefined || large === undefined) return t.fail();
  const status = await extract(
    [
      targetOf(small, -1, { offset: tiny.row.offset }),
      targetOf(small, -1, { objectId: Buffer.alloc(16) }),
      targetOf(small, -1, { size: 5001 }),
      targetOf(small, -1, { offset: small.row.offset + 512 }),
      targetOf(small, -1, { offset: small.row.offset + 1 }),
      targetOf(large, -1, { offset: large.row.offset + 2 ** 20 }),
      targetOf(small, -1, { sha256: Buffer.alloc(32) }),
    ],
    container,
  );
  const { wrongMember, badHash } = extractStatus;
  t.deepEqual(status, [wrongMember, wrongMember, wrongMember, wrongMember, wrongMember, wrongMember, badHash]);
});

onKernel('without a hash from the catalogue the header decides, and where it has none nothing is taken on trust', async (t) => {
  const { container, files } = await archive(t, await loopFilesystem(t, 'ext4', 64));
  const status = await extract(
    files.map((file) => targetOf(file, -1, { sha256: null })),
    container,
  );
  t.deepEqual(
    status,
    files.map(({ row }) => (row.size <= 2 ** 20 ? extractStatus.restored : extractStatus.badHash)),
  );
});

onKernel('a hard link is no place to restore from', async (t) => {
  const root = await loopFilesystem(t, 'ext4', 64);
  writeFileSync(join(root, 'a'), 'data');
  linkSync(join(root, 'a'), join(root, 'b'));
  const { container, rows } = await pack(newPacker(t, root), [inputOf(root, ['a', 'b'])]);
  const [, link] = rows;
  t.is(link?.status, packStatus.hardlink);
  const target = { offset: link?.offset ?? 0, objectId: link?.objectId ?? Buffer.alloc(0), size: 4, sha256: link?.sha256 ?? null, fd: -1, record: null };
  t.deepEqual(await extract([target], container), [extractStatus.wrongMember]);
  t.deepEqual(await extract([{ ...target, size: 0 }], container), [extractStatus.wrongMember]);
});

onKernel('two inodes can be restored from one object', async (t) => {
  const { root, container, files } = await archive(t, await loopFilesystem(t, 'ext4', 64));
  const large = files[3];
  if (large === undefined) return t.fail();
  const fds = ['x', 'y', 'z'].map((name) => openSync(join(root, name), 'w+'));
  for (const fd of fds) ftruncateSync(fd, large.row.size);
  const status = await extract(
    fds.map((fd) => targetOf(large, fd, { record: null })),
    container,
  );
  t.deepEqual(status, [0, 0, 0]);
  for (const name of ['x', 'y', 'z']) t.true(readFileSync(join(root, name)).equals(large.content));
  for (const fd of fds) closeSync(fd);
});

onKernel('a container that ends early, or has a gap, leaves its targets truncated', async (t) => {
  const { container, files } = await archive(t, await loopFilesystem(t, 'ext4', 64));
  const large = files[3];
  if (large === undefined) return t.fail();
  const { truncated } = extractStatus;
  for (const cut of [0, 1, 511, 512, 1024, 1536, 2 ** 20, 3 * 2 ** 20]) {
    t.deepEqual(await extract([targetOf(large, -1)], container.subarray(0, large.row.offset + cut)), [truncated], `cut after ${cut}`);
  }
  const extractor = new native.Extractor([targetOf(large, -1)]);
  t.deepEqual(await extractor.feed(large.row.offset, container.subarray(large.row.offset, large.row.offset + 1000)), []);
  const later = large.row.offset + 1001;
  t.deepEqual(await extractor.feed(later, container.subarray(later, later + 1000)), [{ target: 0, status: truncated }]);
  t.is(extractor.needs, -1);
});

onKernel('a destination that cannot be written ends with its errno', async (t) => {
  const { container, files } = await archive(t, await loopFilesystem(t, 'ext4', 64));
  const small = files[1];
  if (small === undefined) return t.fail();
  const readOnly = openSync(small.path, 'r');
  t.deepEqual(await extract([targetOf(small, readOnly, { record: null })], container), [-9]);
  closeSync(readOnly);
  t.deepEqual(await extract([targetOf(small, 987_654, { record: null })], container), [-9]);
});

/** Damage that fits into one line; `at` is within the member. */
const damages: readonly ((data: Buffer, random: () => number) => Buffer)[] = [
  (data, random) => {
    for (let i = 0; i < 1 + random() * 8; i += 1) {
      const at = Math.floor(random() * data.length);
      data[at] = (data[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    }
    return data;
  },
  (data, random) => data.subarray(0, Math.floor(random() * data.length)),
  (data, random) => {
    const at = Math.floor(random() * Math.min(2048, data.length));
    return data.fill(Math.floor(random() * 256), at, Math.min(data.length, at + Math.floor(random() * 3000)));
  },
  // Another size in the ustar header or the pax header, with a right checksum.
  (data, random) => {
    const header = random() < 0.5 ? 0 : 1024;
    data.write(Math.floor(random() * 8 ** 11).toString(8).padStart(11, '0'), header + 124, 'latin1'); // prettier-ignore
    return withChecksum(data, header);
  },
  // Other digits in the records: lengths, sizes, maps.
  (data, random) => {
    for (let at = 512; at < Math.min(data.length, 4096); at += 1) {
      const digit = data[at] ?? 0;
      if (digit >= 0x30 && digit <= 0x39 && random() < 0.1) data[at] = 0x30 + Math.floor(random() * 10);
    }
    return data;
  },
  (data, random) => {
    const record = data.indexOf('realsize=');
    if (record > 0) data.write('9', record + 9 + Math.floor(random() * 3), 'latin1');
    return data;
  },
];

function withChecksum(data: Buffer, header: number): Buffer {
  if (data.length < header + 512) return data;
  data.fill(' ', header + 148, header + 156);
  const sum = data.subarray(header, header + 512).reduce((total, byte) => total + byte, 0);
  data.write(`${sum.toString(8).padStart(6, '0')}\0 `, header + 148, 'latin1');
  return data;
}

onKernel('damaged bytes never crash it, never pass for the file, and never reach beyond the file', async (t) => {
  const { root, container, files } = await archive(t, await loopFilesystem(t, 'ext4', 64));
  const random = seededRandom(20_260_729);
  const fd = openSync(join(root, 'victim'), 'w+');
  let failures = 0;
  for (let round = 0; round < 1500; round += 1) {
    const file = files[Math.floor(random() * files.length)];
    const damage = damages[round % damages.length];
    if (file === undefined || damage === undefined) return t.fail();
    const start = file.row.offset;
    const data = damage(Buffer.from(container.subarray(start, start + file.row.length)), random);
    ftruncateSync(fd, 0);
    ftruncateSync(fd, file.row.size);
    const step = random() < 0.5 ? 2 ** 20 : 512 + Math.floor(random() * 10_000);
    const [status] = await extract([targetOf(file, fd, { offset: 0, record: null })], data, () => step);
    t.is(fstatSync(fd).size, file.row.size);
    if (status === extractStatus.restored) t.true(readFileSync(join(root, 'victim')).equals(file.content), `round ${round}`);
    else failures += 1;
    if (status !== undefined && status < 0) t.is(status, enospc, `round ${round}`);
  }
  t.true(failures > 500);
  closeSync(fd);
});

test('garbage is no member', (t) => {
  const random = seededRandom(3);
  for (let round = 0; round < 2000; round += 1) {
    const data = seededBytes(round, Math.floor(random() * 5000));
    if (random() < 0.5 && data.length >= 512) {
      data.write('ustar\x0000', 257, 'latin1');
      data.write(['x', '0', '\0'][round % 3] ?? '', 156, 'latin1');
      data.write('00000001000\0', 124, 'latin1');
      withChecksum(data, 0);
    }
    t.true(['bad', 'more'].includes(native.parseMember(data).status));
  }
});

for (const type of filesystemTypes) {
  onKernel(`a commit of few files and of many does the same on ${type}`, async (t) => {
    const root = await loopFilesystem(t, type, 64);
    for (const count of [1, 4, 5, 60]) {
      const fds = Array.from({ length: count }, (_, i) => openSync(join(root, `f${i}`), 'w+'));
      for (const fd of fds) {
        writeSync(fd, 'data');
        native.setxattr(fd, stubXattr, Buffer.alloc(64, 1));
      }
      const committed = await native.commitRestore(
        -1,
        fds.map((fd, i) => ({ fd, size: 4, atimeNs: BigInt(i) * 1_000_000_007n, mtimeNs: -5n })),
      );
      for (const [i, fd] of fds.entries()) {
        const stat = fstatSync(fd, { bigint: true });
        t.is(committed.status[i], 0);
        t.is(committed.ctimeNs[i], stat.ctimeNs);
        t.is(stat.atimeNs, BigInt(i) * 1_000_000_007n);
        t.is(stat.mtimeNs, -5n);
        t.is(native.getxattr(fd, stubXattr), null);
        closeSync(fd);
      }
    }
  });
}

test('a commit that fails for one file leaves its record, and does the others', async (t) => {
  const root = await temporaryFolder(t);
  for (const count of [2, 8]) {
    const fds = Array.from({ length: count }, (_, i) => openSync(join(root, `f${i}`), 'w+'));
    for (const fd of fds) native.setxattr(fd, stubXattr, Buffer.alloc(64, 1));
    const item = { size: 0, atimeNs: 0n, mtimeNs: 0n };
    const items = [...fds.map((fd) => ({ ...item, fd })), { ...item, fd: 987_654 }];
    const committed = await native.commitRestore(-1, items);
    t.deepEqual([...committed.status], [...fds.map(() => 0), -9]);
    for (const fd of fds) closeSync(fd);
  }
  await t.throwsAsync(native.undoRestore({ fd: 987_654, size: 1, atimeNs: 0n, mtimeNs: 0n }), { code: 'EBADF', message: /fallocate/ });
});

test('improper use is refused', async (t) => {
  const target = { offset: 0, objectId: Buffer.alloc(16), size: 1, sha256: null, fd: -1, record: null };
  const wrong: object[] = [{ objectId: Buffer.alloc(15) }, { sha256: Buffer.alloc(31) }, { record: Buffer.alloc(63) }, { offset: -1 }, { size: 1.5 }, { fd: 'x' }];
  for (const change of wrong) t.throws(() => new native.Extractor([{ ...target, ...change }]), undefined, JSON.stringify(change));
  const extractor = new native.Extractor([target]);
  const feeding = extractor.feed(0, Buffer.alloc(2 ** 20));
  t.throws(() => extractor.feed(2 ** 20, Buffer.alloc(1)));
  t.throws(() => extractor.finish());
  t.deepEqual(await feeding, [{ target: 0, status: extractStatus.wrongMember }]);
});

test('hashes are those of the bytes', async (t) => {
  const root = await temporaryFolder(t);
  for (const size of [1, 55, 56, 63, 64, 65, 4095, 4096, 1_000_003]) {
    const data = seededBytes(size, size);
    writeFileSync(join(root, 'file'), data);
    const { rows } = await pack(newPacker(t, root), [inputOf(root, ['file'])]);
    t.is(rows[0]?.sha256.toString('hex'), createHash('sha256').update(data).digest('hex'));
  }
});
