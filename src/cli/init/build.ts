/** Makes what the plan says, in steps that are undone in reverse when a later one fails. */
import { chmodSync, closeSync, existsSync, fchmodSync, fsyncSync, mkdirSync, openSync, readdirSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openCatalog } from '../../catalog/index.ts';
import { cataloguePath } from '../../config.ts';
import { createVirtualLibrary } from '../../library/create-library.ts';
import { configText } from './config-text.ts';
import type { InitPlan } from './plan.ts';

export interface BuildOptions {
  /** Called before each step; what it throws stops and undoes everything. */
  readonly beforeStep?: (name: string) => void;
}

/** After a failure everything is as before, but for empty folders that others have begun to use. The config comes last: where it exists, init was complete. */
export async function build(plan: InitPlan, options: BuildOptions = {}): Promise<{ barcodes: string[] }> {
  const undo: (() => void)[] = [];
  const step = (name: string) => options.beforeStep?.(name);
  try {
    step('folders');
    makeFolder(dirname(plan.configFile), 0o755, undo);
    // Every user's client must reach the socket in the state folder.
    makeFolder(plan.state, 0o755, undo);
    // A cartridge holds everybody's data.
    makeFolder(plan.library, 0o700, undo);
    step('library');
    undo.push(() => empty(plan.library));
    const cartridges = plan.scsi !== null ? [] : await createVirtualLibrary(plan.library, { drives: plan.drives, cartridges: plan.cartridges, capacity: plan.capacity, timing: plan.timing, format: plan.format });
    step('catalogue');
    undo.push(() => removeCatalogue(plan.state));
    await fillCatalogue(plan, cartridges, step);
    step('config');
    writeConfig(plan, undo);
    step('end');
    return { barcodes: cartridges.map(({ barcode }) => barcode) };
  } catch (error) {
    for (const each of undo.reverse()) each();
    throw error;
  }
}

function makeFolder(folder: string, mode: number, undo: (() => void)[]): void {
  const first = mkdirSync(folder, { recursive: true });
  if (first === undefined) return;
  chmodSync(folder, mode);
  undo.push(() => {
    for (let each = folder; each.length >= first.length; each = dirname(each)) {
      if (existsSync(each) && readdirSync(each).length === 0) rmdirSync(each);
    }
  });
}

/** The library folder was empty before. */
function empty(folder: string): void {
  for (const name of readdirSync(folder)) if (name !== 'lost+found') rmSync(join(folder, name), { recursive: true, force: true });
}

function removeCatalogue(state: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${cataloguePath(state)}${suffix}`, { force: true });
}

async function fillCatalogue(plan: InitPlan, cartridges: readonly { barcode: string; capacity: number }[], step: (name: string) => void): Promise<void> {
  const catalog = openCatalog(cataloguePath(plan.state));
  try {
    // It knows the names of everybody's files. SQLite gives its other files the same mode.
    chmodSync(cataloguePath(plan.state), 0o600);
    for (const filesystem of plan.filesystems) await catalog.addFilesystem(filesystem);
    step('volumes');
    await Promise.all(cartridges.map(({ barcode, capacity }) => catalog.addVolume({ barcode, pool: null, capacity })));
  } finally {
    await catalog.close();
  }
}

function writeConfig(plan: InitPlan, undo: (() => void)[]): void {
  const fd = openSync(plan.configFile, 'wx', 0o644);
  undo.push(() => rmSync(plan.configFile, { force: true }));
  try {
    fchmodSync(fd, 0o644);
    writeSync(fd, configText(plan));
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
