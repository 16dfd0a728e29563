/** The runbook without hsm in docs/operations.md, run as it is written, with `mt` and `dd` that know a .tap file. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { archiving } from '../fixtures/archiving.ts';
import { kernelTest } from '../fixtures/loopfs.ts';
import { temporaryFolder } from '../fixtures/temporary.ts';
import { factsOf, makeTree } from '../fixtures/tree.ts';

const root = kernelTest(test);
const mib = 2 ** 20;
const manual = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');

root('mt, dd and tar restore a cartridge by the commands of the manual, to the letter', async (t) => {
  const [, commands = ''] = /### Without hsm\n[^]*?```sh\n([^]*?)```/.exec(manual) ?? [];
  t.regex(commands, /mt -f .*\n.*dd if=[^]*tar -xpf/);
  const site = await archiving(t, 'ext4', { containerSize: 4 * mib });
  makeTree(site.mount, { folders: 1, filesPerFolder: 45, biggest: 6 * mib });
  t.like(await site.archive({ keepData: true }), { failed: 0 });
  const changed = join(site.mount, 'd0', 'file-00020.dat');
  writeFileSync(changed, 'newer '.repeat(1000));
  const old = new Date('2015-06-07T08:09:09.123Z');
  utimesSync(changed, old, old);
  t.like(await site.archive({ keepData: true }), { archived: 1, failed: 0 });
  const facts = new Map([...factsOf(site.mount)].filter(([, { size }]) => size > 0));
  await site.drives.close();
  await site.library.close();

  const folder = await temporaryFolder(t);
  const tools = join(folder, 'tools');
  const out = join(folder, 'out');
  for (const each of [tools, out]) mkdirSync(each);
  for (const name of ['mt', 'dd']) symlinkSync(new URL('../fixtures/fake-tape.py', import.meta.url), join(tools, name));
  const env = { ...process.env, PATH: `${tools}:${process.env['PATH'] ?? ''}`, TAP: join(site.libraryDir, 'cartridges', 'V00001L9.tap'), TAP_AT: join(folder, 'at') };
  execFileSync('sh', ['-euc', commands], { cwd: out, env, timeout: 120_000, stdio: ['ignore', 'ignore', 'inherit'] });

  t.true(readFileSync(join(out, 'label-and-page'), 'latin1').startsWith('VOL1V00001'));
  const restored = new Map([...factsOf(out)].filter(([name]) => name.startsWith('d0/')));
  t.deepEqual([...restored].sort(byName), [...facts].sort(byName));
});

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);
