import { mkdirSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { projectRoot } from '../../src/native/index.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';

/** Runs `body` in a worker thread until it posts a message, then ends the worker while native work goes on. */
async function endInTheMiddle(body: string): Promise<void> {
  const worker = new Worker(
    `import { parentPort } from 'node:worker_threads';
     import { openSync } from 'node:fs';
     import { native } from '${projectRoot}src/native/index.ts';
     ${body}`,
    { eval: true, stderr: false },
  );
  await once(worker, 'message');
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
  await worker.terminate();
}

test('a worker thread that ends while a walk, a batch or a channel is busy takes nothing down with it', async (t) => {
  const folder = await temporaryFolder(t);
  for (let d = 0; d < 20; d++) {
    mkdirSync(join(folder, `d${d}`));
    for (let i = 0; i < 50; i++) writeFileSync(join(folder, `d${d}/f${i}`), '');
  }
  for (let round = 0; round < 4; round++) {
    await endInTheMiddle(`
      const root = openSync('${folder}', 'r');
      const walkers = Array.from({ length: 4 }, () => native.walk(root, [Buffer.alloc(0)], { threads: 2, records: 'all', batchRows: 5 }));
      for (const walker of walkers) await walker.next();
      for (const walker of walkers) void walker.next();
      parentPort.postMessage('go');`);
    await endInTheMiddle(`
      const root = openSync('${folder}', 'r');
      const item = { path: Buffer.from('missing'), ino: 1, size: 1, mtimeNs: 1n, ctimeNs: 1n, handleHash: 1, record: Buffer.alloc(64) };
      parentPort.postMessage('go');
      for (;;) {
        const walker = native.walk(root, [Buffer.alloc(0)], { threads: 1, records: 'none' });
        const evicted = native.evict({ groupFd: -1, mountFd: root }, Array(50).fill(item));
        try { native.statx(root, 'missing'); } catch { await walker.next(); }
        await evicted;
        walker.close();
      }`);
    await endInTheMiddle(`
      const root = openSync('${folder}', 'r');
      const item = { path: Buffer.from('missing'), ino: 1, size: 1, mtimeNs: 1n, ctimeNs: 1n, handleHash: 1, record: Buffer.alloc(64) };
      void native.evict({ groupFd: -1, mountFd: root }, Array(500).fill(item));
      for (let i = 0; i < 8; i++) void native.syncfs(root);
      parentPort.postMessage('go');`);
    await endInTheMiddle(`
      const ends = native.socketpair();
      const a = new native.FdChannel(ends[0], () => undefined, () => undefined);
      const b = new native.FdChannel(ends[1], () => a.send(Buffer.from('again'), [ends[0]]), () => undefined);
      a.send(Buffer.from('once'));
      const closed = new native.FdChannel(native.socketpair()[0], () => undefined, () => undefined);
      closed.close();
      parentPort.postMessage('go');`);
  }
  t.pass();
});
