/** The first program of a guest: busybox, the modules that reach the host's files, and init.sh. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import type { Kernel } from './kernels.ts';

const init = fileURLToPath(new URL('init.sh', import.meta.url));
const busybox = '/bin/busybox';
const wanted = ['virtio_pci', 'virtio_console', 'virtio_blk', '9p', '9pnet_virtio', 'overlay', 'loop', 'ext4'];
const limit = 60_000;

/** Writes `kernel.initramfs` unless it is newer than this program. */
export async function writeInitramfs(kernel: Kernel): Promise<void> {
  const sources = [init, fileURLToPath(import.meta.url)].map((path) => statSync(path).mtimeMs);
  const written = statSync(kernel.initramfs, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (written > Math.max(...sources)) return;
  const root = mkdtempSync(join(tmpdir(), 'hsm-initramfs-'));
  try {
    for (const each of ['bin', 'modules']) mkdirSync(join(root, each));
    copyFileSync(busybox, join(root, 'bin/busybox'));
    copyFileSync(init, join(root, 'init'));
    await execa('chmod', ['755', join(root, 'init')], { timeout: limit });
    for (const [index, path] of loadOrder(kernel).entries()) await unpackModule(path, join(root, 'modules', `${String(index).padStart(2, '0')}-${basename(path).replace(/\.ko.*/, '.ko')}`));
    const fresh = `${kernel.initramfs}.${process.pid}`;
    await execa('sh', ['-ec', `find . | ${busybox} cpio -o -H newc | gzip -1 > "$1"`, 'sh', fresh], { cwd: root, timeout: limit });
    renameSync(fresh, kernel.initramfs);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** Files of the wanted modules, each after those that it needs. What is built into this kernel has none. */
function loadOrder(kernel: Kernel): string[] {
  const files = new Set<string>();
  const lines = readFileSync(join(kernel.modules, 'modules.dep'), 'utf8').split('\n');
  for (const name of wanted) {
    const line = lines.find((each) => new RegExp(`/${name}\\.ko[^:/]*:`).test(each));
    if (line === undefined) continue;
    const [own = '', needs = ''] = line.split(':');
    for (const each of [...needs.split(' ').filter(Boolean).reverse(), own]) files.add(join(kernel.modules, each));
  }
  return [...files];
}

async function unpackModule(from: string, to: string): Promise<void> {
  if (!from.endsWith('.xz')) return copyFileSync(from, to);
  const { stdout } = await execa('xz', ['-dc', from], { encoding: 'buffer', timeout: limit });
  writeFileSync(to, stdout);
}
