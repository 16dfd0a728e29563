import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { openCatalog } from '../../src/catalog/index.ts';
import { buildFailingIo } from '../fixtures/failing-io.ts';
import { temporaryFolder } from '../fixtures/catalogue.ts';

const writer = fileURLToPath(new URL('../fixtures/catalogue-writer.ts', import.meta.url));

/** Runs the writer until it has said `count` lines, then kills it at whatever it is doing. Resolves with all that it said. */
async function runAndKill(t: ExecutionContext, path: string, first: number, count: number, env: NodeJS.ProcessEnv = {}): Promise<string[]> {
  const child = spawn(process.execPath, [writer, path, String(first)], { stdio: ['ignore', 'pipe', 'inherit'], timeout: 60_000, env: { ...process.env, ...env } });
  t.teardown(() => void child.kill('SIGKILL'));
  const exit = once(child, 'exit');
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.length === count) child.kill('SIGKILL');
  }
  t.deepEqual(await exit, [null, 'SIGKILL']);
  t.is(lines[0], 'open');
  return lines;
}

/** Nothing that was acknowledged is missing, and all of it hangs together. */
async function verify(t: ExecutionContext, path: string, lines: readonly string[]): Promise<void> {
  const catalog = openCatalog(path);
  try {
    const open = new Set((await catalog.openRecallRequests()).map(({ id }) => id));
    const events = new Set((await catalog.events(100_000)).map(({ data }) => (JSON.parse(data) as { ino: number }).ino));
    for (const line of lines) {
      const [what = '', number = ''] = line.split(' ');
      const first = Number(number);
      const inos = Array.from({ length: 50 }, (_, i) => first + i);
      if (what === 'archived') t.true((await catalog.filesByInode(1, inos)).every((row) => row !== undefined), line);
      if (what === 'stub') t.true((await catalog.filesByInode(1, inos.slice(0, 25))).every((row) => row?.state === 'stub'), line);
      if (what === 'request') t.true(open.has(first), line);
      if (what === 'event') t.true(events.has(first), line);
    }
    t.deepEqual(await catalog.check(), []);
  } finally {
    await catalog.close();
  }
}

test('after kill -9 at any moment nothing acknowledged is missing, and the next process goes on', async (t) => {
  const path = join(temporaryFolder(t), 'catalogue.db');
  const all: string[] = [];
  for (let round = 0; round < 8; round++) {
    all.push(...(await runAndKill(t, path, 1 + round * 100_000, 2 + Math.floor(Math.random() * 120))));
    await verify(t, path, all);
  }
});

test('after a power cut, which leaves only what was fsynced, nothing acknowledged is missing', async (t) => {
  const folder = temporaryFolder(t);
  const library = await buildFailingIo(folder);
  const live = join(folder, 'live');
  const shadow = join(folder, 'shadow');
  mkdirSync(live);
  mkdirSync(shadow);
  const env = { LD_PRELOAD: library, FAILING_IO_SHADOW: `catalogue.db:${shadow}` };
  const all: string[] = [];
  for (let round = 0; round < 4; round++) {
    all.push(...(await runAndKill(t, join(live, 'catalogue.db'), 1 + round * 100_000, 20 + Math.floor(Math.random() * 200), env)));
    const found = join(folder, `found-${round}`);
    cpSync(shadow, found, { recursive: true });
    await verify(t, join(found, 'catalogue.db'), all);
  }
});
