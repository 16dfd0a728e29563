/** BARCODE.json: what a cartridge says about itself apart from its data, as a real one does in its memory chip (MAM). */
import { existsSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HsmError } from '../errors.ts';
import { syncDirectory, writeFileAtomic } from './atomic-file.ts';

export interface CartridgeRecord {
  readonly version: 1;
  readonly barcode: string;
  /** `L8`, `L9`: what a real cartridge's barcode ends with. */
  readonly generation: string;
  /** Bytes that the .tap may grow to, markers included. */
  readonly capacity: number;
  /** Bytes before the end from which on writes say earlyWarning. */
  readonly margin: number;
  readonly writeProtect: boolean;
  /** ISO 8601. */
  readonly created: string;
  readonly lastLoaded: string | null;
  readonly loads: number;
  /** Over the cartridge's whole life, markers not counted. */
  readonly bytesWritten: number;
  readonly bytesRead: number;
  /** File offset up to which the .tap was durable at the last unload. A .tap that holds less has lost data. */
  readonly end: number;
  /** MAM attributes by hexadecimal id (SPC-5 table "MAM attributes"). */
  readonly mam: Readonly<Record<string, string>>;
}

export interface CartridgeFiles {
  readonly tap: string;
  readonly record: string;
  readonly index: string;
}

export const cartridgeFiles = (folder: string, barcode: string): CartridgeFiles => ({
  tap: join(folder, `${barcode}.tap`),
  record: join(folder, `${barcode}.json`),
  index: join(folder, `${barcode}.idx`),
});

/** Room for a trailer: a thirty-second of the volume, between 4 MiB and 512 MiB, but never more than a quarter. */
export const earlyWarningMargin = (capacity: number): number =>
  Math.floor(Math.min(capacity / 4, Math.max(4 * 2 ** 20, Math.min(capacity / 32, 512 * 2 ** 20))));

export function newCartridgeRecord(barcode: string, generation: string, capacity: number): CartridgeRecord {
  return {
    version: 1,
    barcode,
    generation,
    capacity,
    margin: earlyWarningMargin(capacity),
    writeProtect: false,
    created: new Date().toISOString(),
    lastLoaded: null,
    loads: 0,
    bytesWritten: 0,
    bytesRead: 0,
    end: 0,
    mam: { '0400': 'HSM', '0401': barcode, '0806': barcode },
  };
}

/**
 * A new, empty cartridge: its files exist and are durable when it resolves. An existing one fails with `EEXIST`. The .tap, by
 * which a cartridge is known, comes last.
 */
export async function createCartridge(folder: string, record: CartridgeRecord): Promise<void> {
  const files = cartridgeFiles(folder, record.barcode);
  if (existsSync(files.tap)) throw new HsmError('EEXIST', `cartridge ${record.barcode} exists already`, { path: files.tap });
  await writeCartridgeRecord(files.record, record);
  const tap = await open(files.tap, 'wx', 0o640);
  try {
    await tap.sync();
  } finally {
    await tap.close();
  }
  await syncDirectory(folder);
}

export const writeCartridgeRecord = (path: string, record: CartridgeRecord): Promise<void> =>
  writeFileAtomic(path, `${JSON.stringify(record, null, 2)}\n`);

/** Fails with `EIO` (another copy may help) when there is no record or it is not one. */
export async function readCartridgeRecord(path: string): Promise<CartridgeRecord> {
  try {
    const record = JSON.parse(await readFile(path, 'utf8')) as Partial<CartridgeRecord>;
    if (record.version === 1 && typeof record.barcode === 'string' && typeof record.capacity === 'number') return record as CartridgeRecord;
  } catch (cause) {
    throw new HsmError('EIO', `cartridge record ${path} cannot be read: ${(cause as Error).message}`, { retry: 'other-copy', path, cause });
  }
  throw new HsmError('EIO', `cartridge record ${path} is not one of this version`, { retry: 'other-copy', path });
}
