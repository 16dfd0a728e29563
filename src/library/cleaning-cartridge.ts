/** Cartridges that clean drives, told by their barcodes: no drive gets ready with one, and loading it to look would use it up. */
import type { LibrarySettings } from '../config.ts';

export const isCleaner = (barcode: string, library: LibrarySettings): boolean => library.kind === 'scsi' && library.cleaning.prefix !== '' && barcode.startsWith(library.cleaning.prefix);
