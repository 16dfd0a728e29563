import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync, ftruncateSync, linkSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  checkVolumeLabel,
  extractMembers,
  firstContainerAddress,
  labelVolume,
  readIndex,
  readIndexAfter,
  readVolumeLabel,
  verifyContainer,
  walkMembers,
  type MemberColumns,
} from '../../src/media/containers.ts';
import { tapeBlockSize } from '../../src/media/format.ts';
import type { Medium } from '../../src/media/medium.ts';
import { loadVirtualCartridge } from '../../src/media/virtual-cartridge.ts';
import { extractStatus, packStatus, type ExtractTarget } from '../../src/native/index.ts';
import { newCartridge } from '../fixtures/cartridge.ts';
import { inputOf, newPacker, pack, type Packed, type PackedRow } from '../fixtures/pack.ts';
import { seededBytes } from '../fixtures/random.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

async function cartridge(t: ExecutionContext, barcode = 'V00001L9'): Promise<Medium> {
  const loaded = await loadVirtualCartridge(await newCartridge(t, 2 ** 28, barcode));
  t.teardown(() => loaded.abandon());
  return loaded;
}

/** A labelled volume with one container of a hundred files, a hard link, and large files between them. */
async function written(t: ExecutionContext, change: (container: Buffer, packed: Packed) => unknown = () => undefined): Promise<Packed & { medium: Medium; paths: string[]; root: string }> {
  const root = await temporaryFolder(t);
  mkdirSync(join(root, 'd'));
  const paths: string[] = [];
  for (let i = 0; i < 100; i += 1) {
    const path = `d/f${i}`;
    writeFileSync(join(root, path), seededBytes(i, i % 33 === 32 ? 7 * 2 ** 20 : 100 + i * 50));
    paths.push(path);
  }
  linkSync(join(root, 'd/f3'), join(root, 'd/link'));
  paths.push('d/link');
  const sparse = openSync(join(root, 'd/sparse'), 'w');
  ftruncateSync(sparse, 4_000_000);
  writeSync(sparse, 'data', 2_000_000);
  closeSync(sparse);
  paths.push('d/sparse');
  const packed = await pack(newPacker(t, root), [inputOf(root, paths)]);
  const container = Buffer.from(packed.container);
  change(container, packed);
  const medium = await cartridge(t);
  await labelVolume(medium);
  await writeContainer(medium, container);
  return { ...packed, medium, paths, root };
}

async function writeContainer(medium: Medium, container: Buffer): Promise<void> {
  for (let at = 0; at < container.length; at += tapeBlockSize) await medium.writeBlock(container.subarray(at, at + tapeBlockSize));
  await medium.writeFilemark({ sync: true });
}

const good = (rows: readonly PackedRow[]): PackedRow[] => rows.filter(({ status }) => status === packStatus.packed);

const columns = (rows: readonly PackedRow[]): MemberColumns => ({
  count: rows.length,
  offset: Float64Array.from(rows, ({ offset }) => offset),
  size: Float64Array.from(rows, ({ size }) => size),
  objectIds: Buffer.concat(rows.map(({ objectId }) => objectId)),
  sha256: Buffer.concat(rows.map(({ sha256 }) => sha256)),
});

const target = ({ offset, objectId, size, sha256 }: PackedRow, fd = -1): ExtractTarget => ({ offset, objectId, size, sha256, fd, record: null });

/** Counts what is asked of a medium. */
function counted(medium: Medium): { medium: Pick<Medium, 'position' | 'locate' | 'readBlock'>; reads: number; locates: number } {
  const count = {
    reads: 0,
    locates: 0,
    medium: {
      position: () => medium.position(),
      locate: (address: number) => {
        count.locates += 1;
        return medium.locate(address);
      },
      readBlock: (into: Buffer) => {
        count.reads += 1;
        return medium.readBlock(into);
      },
    },
  };
  return count;
}

test('a labelled volume begins with label, page and filemark, and tells its barcode', async (t) => {
  const medium = await cartridge(t, '948324L8');
  t.is(await readVolumeLabel(medium), 'blank');
  await t.throwsAsync(checkVolumeLabel(medium), { code: 'WRONG_VOLUME' });
  await labelVolume(medium);
  t.is(await medium.position(), firstContainerAddress);
  t.is(await readVolumeLabel(medium), '948324L8');
  await checkVolumeLabel(medium);
  await medium.rewind();
  const kinds: (number | string)[] = [];
  for (let i = 0; i < 4; i += 1) {
    const block = await medium.readBlock(Buffer.alloc(tapeBlockSize));
    kinds.push(typeof block === 'string' ? block : block.length);
  }
  t.deepEqual(kinds, [80, 3584, 'filemark', 'end']);
});

test('a volume of somebody else has no label of ours', async (t) => {
  const medium = await cartridge(t);
  for (const first of [Buffer.alloc(80), Buffer.alloc(10_000), null]) {
    await medium.rewind();
    if (first === null) await medium.writeFilemark({ sync: true });
    else await medium.writeBlock(first);
    t.is(await readVolumeLabel(medium), null);
    await t.throwsAsync(checkVolumeLabel(medium), { code: 'WRONG_VOLUME' });
  }
});

test('a label that names another cartridge is the wrong volume', async (t) => {
  const medium = await cartridge(t, 'V00002L9');
  await labelVolume(medium);
  await t.throwsAsync(checkVolumeLabel({ rewind: () => medium.rewind(), readBlock: (into) => medium.readBlock(into), barcode: 'V00001L9' }), { code: 'WRONG_VOLUME', message: /V00001L9 is labelled V00002L9/ });
});

test('members come back into files, in any order of targets', async (t) => {
  const { medium, rows, paths, root } = await written(t);
  const wanted = [rows[98], rows[3], rows[32], rows[101], rows[50]].filter((row) => row !== undefined);
  const fds = wanted.map((row, i) => {
    const fd = openSync(join(root, `out${i}`), 'w+');
    ftruncateSync(fd, row.size);
    return fd;
  });
  const ended: number[] = [];
  const status = await extractMembers(medium, firstContainerAddress, wanted.map((row, i) => target(row, fds[i])), { onEnded: (results) => ended.push(...results.map((each) => each.target)) }); // prettier-ignore
  t.deepEqual([...status], [0, 0, 0, 0, 0]);
  t.deepEqual(ended, [1, 2, 4, 0, 3]);
  for (const [i, row] of wanted.entries()) t.true(readFileSync(join(root, `out${i}`)).equals(readFileSync(join(root, paths[row.row] ?? ''))));
  for (const fd of fds) closeSync(fd);
});

test('blocks that nobody needs are located over', async (t) => {
  const { medium, rows, container } = await written(t);
  const first = rows[0];
  const last = rows[99];
  if (first === undefined || last === undefined) return t.fail();
  const count = counted(medium);
  t.deepEqual([...(await extractMembers(count.medium, firstContainerAddress, [target(first), target(last)]))], [0, 0]);
  t.true(count.reads <= 5, `${count.reads} of ${container.length / tapeBlockSize} blocks were read`);
  t.is(count.locates, 2);
});

test('a container that is as it was written is verified as a whole', async (t) => {
  const { medium, rows, container } = await written(t);
  const verdict = await verifyContainer(medium, firstContainerAddress, columns(good(rows)));
  t.deepEqual(verdict, { damaged: [], index: true, blocks: container.length / tapeBlockSize });
  t.deepEqual(await verifyContainer(medium, firstContainerAddress, columns([])), verdict);
});

test('any flipped bit of payload, header or index is found', async (t) => {
  for (const [row, at] of [[0, 'payload'], [32, 'payload'], [40, 'header'], [101, 'payload'], [-1, 'index'], [-1, 'end']] as const) { // prettier-ignore
    const { medium, rows } = await written(t, (bytes, { rows: all }) => {
      const last = all[all.length - 1];
      const index = (last?.offset ?? 0) + (last?.length ?? 0);
      const place = { payload: (all[row]?.offset ?? 0) + (all[row]?.headerLength ?? 0) + 7, header: (all[row]?.offset ?? 0) + 600, index: index + 1600, end: bytes.indexOf('hsm-index-end') }[at];
      bytes[place] = (bytes[place] ?? 0) ^ 4;
    });
    const { damaged, index } = await verifyContainer(medium, firstContainerAddress, columns(good(rows)));
    t.deepEqual(
      damaged.map((each) => each.row),
      row < 0 ? [] : [good(rows).findIndex((each) => each.row === row)],
      at,
    );
    t.is(index, row >= 0, at);
  }
});

test('a container that was cut short has damaged members and no index', async (t) => {
  const root = await temporaryFolder(t);
  writeFileSync(join(root, 'a'), seededBytes(1, 2_500_000));
  writeFileSync(join(root, 'b'), seededBytes(2, 2_500_000));
  const { container, rows } = await pack(newPacker(t, root), [inputOf(root, ['a', 'b'])]);
  for (const filemark of [true, false]) {
    const medium = await cartridge(t);
    await labelVolume(medium);
    for (let at = 0; at < 3 * tapeBlockSize; at += tapeBlockSize) await medium.writeBlock(container.subarray(at, at + tapeBlockSize));
    if (filemark) await medium.writeFilemark({ sync: true });
    const verdict = await verifyContainer(medium, firstContainerAddress, columns(rows));
    t.deepEqual(verdict, { damaged: [{ row: 1, status: extractStatus.truncated }], index: false, blocks: 3 });
    t.deepEqual((await walkMembers(medium, firstContainerAddress)).map(({ name, sha256 }) => [name.toString(), sha256]), [['a', null], ['b', null]]); // prettier-ignore
  }
});

test('the index is read from the end, without the members', async (t) => {
  const { medium, rows, paths, container } = await written(t);
  const count = counted(medium);
  const entries = await readIndex(count.medium, firstContainerAddress, container.length / tapeBlockSize);
  t.true(count.reads <= 5);
  t.deepEqual(
    entries.map(({ name }) => name.toString()),
    paths,
  );
  for (const [i, entry] of entries.entries()) {
    t.is(entry.kind, rows[i]?.status === packStatus.hardlink ? 'link' : 'file');
    t.is(entry.offset, rows[i]?.offset ?? -1);
    t.deepEqual(entry.object, rows[i]?.objectId);
    if (entry.kind === 'file') t.deepEqual(entry.sha256, rows[i]?.sha256);
  }
});

test('the index is found from any member on, over the payloads', async (t) => {
  const { medium, rows } = await written(t);
  for (const row of [rows[0], rows[32], rows[99], rows[101]]) {
    t.is((await readIndexAfter(medium, firstContainerAddress, row?.offset ?? 0))?.length, rows.length);
  }
  t.is(await readIndexAfter(medium, firstContainerAddress, 512), null);
  const damaged = await written(t, (bytes) => bytes.write('#', bytes.lastIndexOf('"name":"d/f7"')));
  t.is(await readIndexAfter(damaged.medium, firstContainerAddress, 0), null);
});

test('where the index is damaged the headers tell of the members', async (t) => {
  for (const text of ['"name":"d/f7"', 'hsm-index-end', '.hsm/index-']) {
    const { medium, rows, paths, container } = await written(t, (bytes) => {
      bytes.write('#', bytes.lastIndexOf(text) + 1);
    });
    const entries = await readIndex(medium, firstContainerAddress, container.length / tapeBlockSize);
    t.deepEqual(
      entries.map(({ name }) => name.toString()),
      paths,
      text,
    );
    for (const [i, entry] of entries.entries()) {
      t.deepEqual([entry.offset, entry.length, entry.size], [rows[i]?.offset, rows[i]?.length, entry.kind === 'link' ? 0 : rows[i]?.size]);
      if (entry.sha256 !== null) t.deepEqual(entry.sha256, rows[i]?.sha256);
    }
    t.is(entries.filter(({ kind, sha256 }) => kind === 'file' && sha256 === null).length, 4);
  }
});

test('containers one after another are read apart', async (t) => {
  const { medium, rows, container } = await written(t);
  const second = await medium.locateEnd();
  t.is(second, firstContainerAddress + container.length / tapeBlockSize + 1);
  await writeContainer(medium, container);
  for (const start of [second, firstContainerAddress]) {
    t.deepEqual((await verifyContainer(medium, start, columns(good(rows)))).damaged, []);
    t.is((await readIndex(medium, start, container.length / tapeBlockSize)).length, rows.length);
  }
});

test('a medium that fails at its n-th read fails the call, and what ended before stays ended', async (t) => {
  const { medium, rows } = await written(t);
  const targets = good(rows).map((row) => target(row));
  for (let n = 0; ; n += 1) {
    let left = n;
    let failed = false;
    const ended: number[] = [];
    const failing = {
      position: () => medium.position(),
      locate: (address: number) => medium.locate(address),
      readBlock: async (into: Buffer) => {
        left -= 1;
        failed = left < 0;
        if (failed) throw Object.assign(new Error('unreadable'), { code: 'EIO' });
        return medium.readBlock(into);
      },
    };
    const run = extractMembers(failing, firstContainerAddress, targets, {
      onEnded: (results) => {
        for (const { target: which, status } of results) {
          t.is(status, extractStatus.restored);
          ended.push(which);
        }
      },
    });
    const outcome = await run.then(
      (status) => status,
      (error: unknown) => error,
    );
    if (!failed) {
      t.is(ended.length, targets.length);
      break;
    }
    t.is(new Set(ended).size, ended.length);
    // Where all targets have ended, what was read ahead in vain does not matter.
    if (ended.length < targets.length) t.is((outcome as { code?: string }).code, 'EIO');
    else t.true(outcome instanceof Int32Array);
  }
});

test('a cancelled extraction leaves the rest truncated', async (t) => {
  const { medium, rows } = await written(t);
  const stop = new AbortController();
  const status = await extractMembers(medium, firstContainerAddress, good(rows).map((row) => target(row)), { signal: stop.signal, onEnded: () => stop.abort() }); // prettier-ignore
  t.is(status[0], extractStatus.restored);
  t.is(status.at(-1), extractStatus.truncated);
  t.deepEqual([...(await extractMembers(medium, firstContainerAddress, []))], []);
});
