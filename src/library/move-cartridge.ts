/** Moves a virtual cartridge between the library's folder and the shelf. It is where its .tap is, and in the library there is no .tap without its record. */
import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { HsmError } from '../errors.ts';
import { syncDirectory } from '../media/atomic-file.ts';
import { cartridgeFiles } from '../media/cartridge-record.ts';

type Part = 'tap' | 'record' | 'index';

/** Durable when they resolve; a move that was cut short is ended by the move back. */
export const toShelf = (barcode: string, library: string, shelf: string): Promise<void> => move(barcode, library, shelf, ['tap', 'record', 'index']);

export const fromShelf = (barcode: string, shelf: string, library: string): Promise<void> => move(barcode, shelf, library, ['record', 'index', 'tap']);

async function move(barcode: string, from: string, to: string, parts: readonly Part[]): Promise<void> {
  await mkdir(to, { recursive: true });
  const source = cartridgeFiles(from, barcode);
  const target = cartridgeFiles(to, barcode);
  if (existsSync(target.tap)) throw new HsmError('EEXIST', `${to} holds another cartridge ${barcode} already`, { path: target.tap });
  for (const part of parts) if (existsSync(source[part])) await rename(source[part], target[part]);
  await syncDirectory(to);
  await syncDirectory(from);
}
