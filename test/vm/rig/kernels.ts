/** Debian's kernels, fetched on first use, unpacked and never installed, each with an initramfs that starts guests. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { downloadKernel } from './apt.ts';
import { writeInitramfs } from './initramfs.ts';

export type KernelName = '6.1' | '6.12' | '7';

/** Paths; `modules` is the folder that belongs at /lib/modules/RELEASE. */
export interface Kernel {
  readonly release: string;
  readonly image: string;
  readonly initramfs: string;
  readonly modules: string;
}

const packages: Readonly<Record<KernelName, readonly [suite: string, name: string]>> = {
  '6.1': ['bookworm', 'linux-image-amd64'],
  '6.12': ['trixie', 'linux-image-amd64'],
  '7': ['trixie-backports', 'linux-image-amd64'],
};

const limit = 120_000;

/** Kernels stay here between runs: some 500 MiB each. */
const cache = process.env['HSM_VM_CACHE'] ?? '/var/tmp/hsm-vm';

export async function kernelOf(name: KernelName): Promise<Kernel> {
  const folder = join(cache, name);
  if (!existsSync(folder)) await fetchKernel(name, folder);
  const release = readFileSync(join(folder, 'release'), 'utf8');
  const kernel: Kernel = {
    release,
    image: join(folder, 'vmlinuz'),
    initramfs: join(folder, 'initramfs'),
    modules: join(folder, 'root/usr/lib/modules', release),
  };
  await writeInitramfs(kernel);
  return kernel;
}

/** Whole or not at all, also when another process does the same. */
async function fetchKernel(name: KernelName, target: string): Promise<void> {
  const [suite, meta] = packages[name];
  const folder = `${target}.${process.pid}`;
  const root = join(folder, 'root');
  mkdirSync(root, { recursive: true });
  for (const deb of await downloadKernel(folder, suite, meta)) {
    await execa('dpkg-deb', ['-x', deb, root], { timeout: limit });
    rmSync(deb);
  }
  for (const each of ['lists', 'cache']) rmSync(join(folder, each), { recursive: true });
  // Older packages have /lib, newer ones /usr/lib.
  if (existsSync(join(root, 'lib/modules'))) {
    mkdirSync(join(root, 'usr/lib'), { recursive: true });
    renameSync(join(root, 'lib/modules'), join(root, 'usr/lib/modules'));
  }
  const [release = ''] = readdirSync(join(root, 'usr/lib/modules'));
  const images = [join(root, 'boot', `vmlinuz-${release}`), join(root, 'usr/lib/modules', release, 'vmlinuz')];
  renameSync(images.find((path) => existsSync(path)) ?? '', join(folder, 'vmlinuz'));
  await execa('/sbin/depmod', ['-b', join(root, 'usr'), release], { timeout: limit });
  writeFileSync(join(folder, 'release'), release);
  if (existsSync(target)) rmSync(folder, { recursive: true });
  else renameSync(folder, target);
}
