/** Makes virtual libraries and cartridges on disk. */
import { mkdir, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { HsmError, refusal, usageError } from '../errors.ts';
import { syncDirectory } from '../media/atomic-file.ts';
import { createCartridge, newCartridgeRecord } from '../media/cartridge-record.ts';
import { isBarcode, libraryPaths, readLibraryConfig, writeLibraryConfig } from './layout.ts';
import type { LibraryConfig } from './layout.ts';
import { lockLibrary } from './lock.ts';
import { createLtfsCartridge } from './ltfs-cartridge.ts';
import type { LtfsPrograms } from './ltfs-mount.ts';
import type { Timing } from './timing.ts';

export interface CreateLibraryOptions {
  readonly drives: number;
  readonly cartridges: number;
  /** Bytes a cartridge. */
  readonly capacity: number;
  readonly timing?: Timing;
  /** Default: what the timing is of, else `L9`. */
  readonly generation?: LibraryConfig['generation'];
  readonly format?: LibraryConfig['format'];
  /** Those of LTFS, where they are not on PATH. */
  readonly programs?: LtfsPrograms;
}

/** Names, or how many with names of their own (`V00001L9`, ...); capacity in bytes, by default the library's. */
export interface NewCartridges {
  readonly barcodes?: readonly string[];
  readonly count?: number;
  readonly capacity?: number;
}

export interface AddedCartridge {
  readonly barcode: string;
  readonly capacity: number;
}

/**
 * Builds a library in `dir`, which must be empty or absent: anything else is refused. Durable when it resolves; after a
 * crash in between, `dir` holds a library with fewer cartridges, or nothing but an empty folder.
 */
export async function createVirtualLibrary(dir: string, options: CreateLibraryOptions): Promise<AddedCartridge[]> {
  const { format = 'tar', programs } = options;
  const timing = options.timing ?? 'none';
  const generation = options.generation ?? (timing === 'lto8' ? 'L8' : 'L9');
  if (!Number.isInteger(options.drives) || options.drives < 1 || options.drives > 64) throw usageError(`a library has 1 to 64 drives, not ${options.drives}`);
  checkCapacity(options.capacity, format);
  await mkdir(dir, { recursive: true });
  const found = (await readdir(dir)).filter((name) => name !== 'lost+found');
  if (found.includes(basename(libraryPaths(dir).config))) throw refusal(`${dir} already holds a library: choose another folder, or name it in the configuration`, dir);
  if (found.length > 0) throw refusal(`${dir} is not empty: choose another folder for the library`, dir);
  await mkdir(libraryPaths(dir).cartridges);
  await writeLibraryConfig(dir, { version: 1, drives: options.drives, generation, timing, format, capacity: options.capacity });
  await syncDirectory(dirname(dir));
  const wanted = { count: options.cartridges };
  return format === 'ltfs' ? makeLtfsCartridges(dir, wanted, programs) : makeCartridges(dir, wanted);
}

/** Adds cartridges to a library that no daemon drives at the moment (else `REFUSED`: ask the daemon). */
export async function addCartridges(dir: string, wanted: NewCartridges): Promise<AddedCartridge[]> {
  const config = await readLibraryConfig(dir);
  const lock = lockLibrary(libraryPaths(dir).lock);
  try {
    return await makeCartridges(dir, wanted, config);
  } finally {
    lock.release();
  }
}

/** For the one who drives the library. Fails with `EEXIST` before any is made when a barcode is taken. */
export async function makeCartridges(dir: string, wanted: NewCartridges, known?: LibraryConfig): Promise<AddedCartridge[]> {
  const config = known ?? (await readLibraryConfig(dir));
  const planned = planCartridges(wanted, await listBarcodes(dir), config);
  const folder = libraryPaths(dir).cartridges;
  for (const { barcode, capacity } of planned) await createCartridge(folder, newCartridgeRecord(barcode, config.generation, capacity));
  return planned;
}

/** The same for cartridges that are folders of LTFS. Fails with `CONFIG` when LTFS is not installed. */
export async function makeLtfsCartridges(dir: string, wanted: NewCartridges, programs?: LtfsPrograms): Promise<AddedCartridge[]> {
  const folder = libraryPaths(dir).cartridges;
  const planned = planCartridges(wanted, new Set((await readdir(folder)).filter(isBarcode)), await readLibraryConfig(dir));
  for (const cartridge of planned) await createLtfsCartridge(join(folder, cartridge.barcode), cartridge, programs);
  return planned;
}

function planCartridges(wanted: NewCartridges, there: ReadonlySet<string>, config: LibraryConfig): AddedCartridge[] {
  const capacity = wanted.capacity ?? config.capacity;
  checkCapacity(capacity, config.format);
  const taken = new Set(there);
  const barcodes = wanted.barcodes ?? freshBarcodes(taken, wanted.count ?? 1, config.generation);
  for (const barcode of barcodes) {
    if (!isBarcode(barcode)) throw usageError(`${barcode} is not a barcode: 1 to 8 of A-Z and 0-9, such as V00001${config.generation}`);
    if (taken.has(barcode)) throw new HsmError('EEXIST', `cartridge ${barcode} is already in the library`);
    taken.add(barcode);
  }
  return barcodes.map((barcode) => ({ barcode, capacity }));
}

/** The barcodes that have a .tap. */
export async function listBarcodes(dir: string): Promise<Set<string>> {
  const names = await readdir(libraryPaths(dir).cartridges);
  return new Set(names.filter((name) => name.endsWith('.tap')).map((name) => name.slice(0, -'.tap'.length)).filter(isBarcode));
}

function freshBarcodes(taken: ReadonlySet<string>, count: number, generation: string): string[] {
  if (!Number.isInteger(count) || count < 0) throw usageError(`${count} is not a number of cartridges`);
  let last = 0;
  for (const barcode of taken) last = Math.max(last, Number(/^V(\d{5})L\d$/.exec(barcode)?.[1] ?? 0));
  return Array.from({ length: count }, (_, number) => `V${String(last + 1 + number).padStart(5, '0')}${generation}`);
}

function checkCapacity(capacity: number, format: LibraryConfig['format']): void {
  if (!Number.isSafeInteger(capacity) || capacity < smallest[format]) throw usageError(`a cartridge holds at least ${smallest[format]} bytes, not ${capacity}`);
}

/** Label, how-to block and their filemarks need some room; LTFS needs it for two partitions and their indexes. */
const smallest = { tar: 64 * 1024, ltfs: 64 * 2 ** 20 } as const;
