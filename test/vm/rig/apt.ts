/** Kernel packages of any Debian suite, from the mirror that this machine's apt uses already, without touching apt's own state. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';

const limit = 300_000;

/** Downloads what the kernel's meta-package `name` of `suite` stands for into `folder`; returns the paths of the .deb files. */
export async function downloadKernel(folder: string, suite: string, name: string): Promise<string[]> {
  const apt = await aptOf(folder, suite);
  // A kernel is one package (linux-image-VERSION) or several (base, binary, modules), all with its version in their names.
  const { stdout } = await execa('apt-cache', [...apt, 'depends', '--recurse', '--no-recommends', '--no-suggests', name], { timeout: limit });
  const packages = new Set(stdout.match(/^linux-(image|base|binary|modules)-\d\S*$/gm));
  if (packages.size === 0) throw new Error(`${suite} has no kernel ${name}`);
  await execa('apt-get', [...apt, 'download', '-qq', ...packages], { cwd: folder, timeout: limit });
  const { stdout: files } = await execa('find', [folder, '-maxdepth', '1', '-name', '*.deb'], { timeout: limit });
  return files.split('\n').filter(Boolean);
}

/** Options that make apt work on a state of its own in `folder`, up to date. */
async function aptOf(folder: string, suite: string): Promise<string[]> {
  const sources = join(folder, 'sources.list');
  for (const each of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(folder, each), { recursive: true });
  writeFileSync(sources, `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${await mirror()} ${suite} main\n`);
  const apt = [
    `Dir::Etc::SourceList=${sources}`,
    'Dir::Etc::SourceParts=/dev/null',
    `Dir::State::Lists=${join(folder, 'lists')}`,
    `Dir::Cache=${join(folder, 'cache')}`,
    'Acquire::Languages=none',
    'Acquire::Retries=3',
    // As whoever runs this: apt's own user may not reach the folder.
    'APT::Sandbox::User=',
  ].flatMap((option) => ['-o', option]);
  await execa('apt-get', [...apt, 'update', '-qq'], { timeout: limit });
  return apt;
}

/** Where this machine gets Debian's own packages from. */
async function mirror(): Promise<string> {
  const { stdout } = await execa('apt-get', ['indextargets', '--format', '$(RELEASE) $(REPO_URI)', 'Created-By: Packages'], { timeout: limit });
  const codename = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'stable';
  const found = stdout.split('\n').find((line) => line.startsWith(`${codename} `) && line.endsWith('/debian/'));
  if (found === undefined) throw new Error("apt's sources name no Debian mirror");
  return found.slice(codename.length + 1);
}
