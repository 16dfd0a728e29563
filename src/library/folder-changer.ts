/** A robot without moving parts: cartridges are folders, and a drive holds one when this says so. */
import { readdir } from 'node:fs/promises';
import { HsmError } from '../errors.ts';
import type { Changer, ChangerInventory } from './changer.ts';
import { isBarcode, libraryPaths, readLibraryState } from './layout.ts';

/** The cartridges of the library in `dir`. What was in a drive before is there again, since an ltfs that was left behind may still have it. */
export async function openFolderChanger(dir: string, drives: readonly string[]): Promise<Changer> {
  const kept = (await readLibraryState(dir))?.drives ?? {};
  const changer = new FolderChanger(dir, drives.map((name) => kept[name]?.barcode ?? null));
  await changer.rescan();
  return changer;
}

class FolderChanger implements Changer {
  readonly #dir: string;
  readonly #drives: (string | null)[];
  #barcodes: readonly string[] = [];

  constructor(dir: string, drives: (string | null)[]) {
    this.#dir = dir;
    this.#drives = drives;
  }

  /** Every cartridge has its slot, in the order of the barcodes. */
  async inventory(): Promise<ChangerInventory> {
    return {
      drives: this.#drives.map((barcode, number) => ({ number, full: barcode !== null, barcode, from: barcode === null ? null : this.#barcodes.indexOf(barcode) + 1 })),
      slots: this.#barcodes.map((each, i) => {
        const barcode = this.#drives.includes(each) ? null : each;
        return { number: i + 1, full: barcode !== null, barcode, importExport: false };
      }),
    };
  }

  async rescan(): Promise<void> {
    const names = await readdir(libraryPaths(this.#dir).cartridges);
    this.#barcodes = names.filter(isBarcode).sort();
    for (const [i, barcode] of this.#drives.entries()) if (barcode !== null && !this.#barcodes.includes(barcode)) this.#drives[i] = null;
  }

  async load(slot: number, drive: number): Promise<void> {
    const barcode = this.#barcodes[slot - 1];
    if (barcode === undefined || this.#drives.includes(barcode) || this.#drives[drive] !== null) throw new HsmError('EIO', `slot ${slot} or drive ${drive} is not as it was`, { retry: 'later' });
    this.#drives[drive] = barcode;
  }

  async unload(drive: number): Promise<void> {
    this.#drives[drive] = null;
  }
}
