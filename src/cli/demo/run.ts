/** The demo, from the first command to the last. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type ExitCode, exitCodes, HsmError } from '../../errors.ts';
import { formatSize } from '../../units.ts';
import type { Context } from '../command.ts';
import type { DemoOptions } from '../demo.ts';
import { onInterrupt } from '../interrupt.ts';
import { difference, type FilePrint, fillWithFiles, makeOld, printsOf } from './corpus.ts';
import { Narrator } from './narrator.ts';
import { readers } from './readers.ts';
import { Stage } from './stage.ts';
import { requireTools } from './tools.ts';

/** Everything is taken down at the end, after a failure and after ^C too, unless `--keep` and all went well. */
export async function runDemo(context: Context, options: DemoOptions): Promise<ExitCode> {
  if (process.getuid?.() !== 0) throw new HsmError('EPERM', 'hsm demo must run as root: it mounts a filesystem of its own and guards it');
  const type = requireTools(options.type);
  const startedAt = performance.now();
  const stage = new Stage(type, new Narrator(context));
  const interrupt = onInterrupt(() => stage.interrupt(), 'ignore');
  let kept = false;
  try {
    const numbers = await play(stage);
    kept = options.keep ?? false;
    report(context, { ...numbers, seconds: Math.round((performance.now() - startedAt) / 100) / 10, ...(kept ? { kept: stage.place } : {}) });
    if (kept) stage.leave();
    return exitCodes.done;
  } catch (error) {
    if (interrupt.seen) throw new HsmError('EINTR', 'interrupted: the demo cleans up and ends', { exit: exitCodes.interrupted, cause: error });
    throw error;
  } finally {
    if (!kept) await stage.clean();
    interrupt.off();
  }
}

interface Numbers {
  readonly files: number;
  readonly bytes: number;
  readonly freed: number;
  readonly firstByteMs: number;
  readonly archiveBytesPerSecond: number;
  readonly recallBytesPerSecond: number;
  readonly readers: readonly string[];
}

async function play(stage: Stage): Promise<Numbers> {
  const { say, mount } = stage;
  say.title(`${stage.type === 'btrfs' ? 'A' : 'An'} ${stage.type} filesystem of its own, with files that nobody has used for five years`);
  await stage.mountFilesystem();
  const filled = fillWithFiles(mount);
  makeOld(mount);
  const before = printsOf(mount);
  // Reading them was a use.
  makeOld(mount);
  const bytes = [...before.values()].reduce((sum, each) => sum + each.size, 0);
  say.text(`${before.size.toLocaleString('en-US')} files, ${formatSize(bytes)}, from ${filled.join(', ')}`);

  say.title('Set up hsm with a virtual tape library, and start the daemon');
  await stage.hsm('init', '--filesystem', mount, '--library', stage.library, '--state', stage.state, '--cartridges', '4', '--capacity', '4G');
  await stage.startDaemon();

  say.title('Cold files go to tape');
  const used = await stage.usedBytes(before.keys());
  const archive = await stage.timed(() => stage.hsm('archive', '--older-than', '4y', mount));
  const freed = used - (await stage.usedBytes(before.keys()));
  say.text(`${formatSize(freed)} of disk are free again`);

  say.title('They still look the same, and hsm knows where they are');
  await stage.hsmHead(6, 'ls', '-lR', mount);
  await stage.hsm('tape', 'ls');
  const stubs = await stage.countStubs();
  if (stubs === 0) throw new HsmError('DEMO', 'nothing was archived: hsm doctor may say why');
  say.text(`${stubs.toLocaleString('en-US')} stubs, ${formatSize(used - freed)} of disk blocks among them`);

  say.title('Whoever reads one waits for tape, and gets every byte');
  const firstByteMs = await timeToFirstByte(stage, before);
  const ways = await readEveryWay(stage, before);

  say.title('The rest comes back in tape order');
  const missing = stage.bytesOnTapeOnly(before);
  const recall = await stage.timed(() => stage.hsm('recall', mount));

  say.title('What happened');
  const wrong = difference(before, printsOf(mount));
  if (wrong.length > 0) throw new HsmError('HASH_MISMATCH', `${wrong.length} files are not what they were: ${wrong.slice(0, 3).join(', ')}`);
  return {
    files: before.size,
    bytes,
    freed,
    firstByteMs,
    archiveBytesPerSecond: Math.round((bytes * 1000) / archive.ms),
    recallBytesPerSecond: Math.round((missing * 1000) / recall.ms),
    readers: ways,
  };
}

async function timeToFirstByte(stage: Stage, before: ReadonlyMap<string, FilePrint>): Promise<number> {
  const [name] = [...before].find(([, { size }]) => size > 100_000 && size < 1_000_000) ?? [...before][0] ?? [''];
  const { ms } = await stage.timed(() => stage.shell(`head -c 1 ${stage.quote(name)} > /dev/null`));
  stage.say.text(`the first byte of a stub of ${formatSize(statSync(join(stage.mount, name)).size)} was there after ${Math.round(ms)} ms`);
  return Math.round(ms);
}

async function readEveryWay(stage: Stage, before: ReadonlyMap<string, FilePrint>): Promise<string[]> {
  const done: string[] = [];
  for (const reader of readers) {
    const names = stage.someStubs(reader.files, before);
    if (names.length === 0 || !reader.available()) continue;
    await stage.inCopyFolder(names, async (copies) => {
      await stage.shell(reader.script(names.map((name) => stage.quote(name)), stage.quote(copies)));
      const expected = new Map(names.map((name) => [name, before.get(name) as FilePrint]));
      const wrong = difference(expected, printsOf(copies), { contentOnly: true });
      if (wrong.length > 0) throw new HsmError('HASH_MISMATCH', `${reader.name} read ${wrong.length} files wrong: ${wrong.slice(0, 3).join(', ')}`);
    });
    stage.say.text(`${names.length} stubs read by ${reader.name}: every byte is right`);
    done.push(reader.name);
  }
  await stage.shell('./bin/echo "a program that was on tape runs"');
  return [...done, 'exec'];
}

function report({ out, json, quiet }: Context, numbers: Numbers & { readonly seconds: number; readonly kept?: Stage['place'] }): void {
  if (json) {
    out.json(numbers);
    return;
  }
  if (quiet) return;
  out.line(`${numbers.files.toLocaleString('en-US')} files, ${formatSize(numbers.bytes)}: every SHA-256, size and time is what it was`);
  out.line(`${formatSize(numbers.freed)} freed, archived and verified at ${formatSize(numbers.archiveBytesPerSecond)}/s, recalled in bulk at ${formatSize(numbers.recallBytesPerSecond)}/s`);
  out.line(`first byte after ${numbers.firstByteMs} ms; readers: ${numbers.readers.join(', ')}; ${numbers.seconds} s in all`);
}
