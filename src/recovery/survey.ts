/** What a volume is and where its containers lie, from the volume alone. */
import { readIndexAfter, readIndexEnd, readLabel } from '../media/containers.ts';
import { isCatalogueName, type IndexEntry } from '../media/format.ts';
import type { Medium } from '../media/medium.ts';
import { tapeFiles, type TapeFile } from '../media/tape-files.ts';

/** A catalogue dump on a volume. */
export interface FoundDump {
  /** `.hsm/catalogue-YYYYMMDDTHHMMSSZ.db`: names sort by time. */
  readonly name: string;
  readonly file: TapeFile;
  readonly entry: IndexEntry;
}

export interface Survey {
  readonly barcode: string;
  /** `blank`: never written. `foreign`: the label is not hsm's, or another cartridge's. */
  readonly kind: 'hsm' | 'blank' | 'foreign';
  /** Of its label; null where that has none. */
  readonly serial: string | null;
  readonly files: readonly TapeFile[];
  /** Newest on the volume. */
  readonly dump: FoundDump | null;
  readonly capacity: number;
  readonly used: number;
  readonly writeProtected: boolean;
  /** Why the volume could not be read to its end, or what is wrong with its label; null when all is well. */
  readonly problem: string | null;
}

/** Reads label, filemarks and the ends of containers, the last first, until a catalogue dump is found. Damage ends it early and is no error. */
export async function surveyVolume(medium: Medium): Promise<Survey> {
  const label = await readLabel(medium);
  if (label === 'blank') return survey(medium, 'blank', null, [], null);
  if (label?.barcode !== medium.barcode) return survey(medium, 'foreign', null, [], label === null ? 'its label is not one of hsm' : `its label says that it is ${label.barcode}`);
  const { serial } = label;
  const files: TapeFile[] = [];
  try {
    for await (const file of tapeFiles(medium)) files.push(file);
    // A drive knows what is used when it was asked for the end.
    await medium.locateEnd();
    return await survey(medium, 'hsm', serial, files, null);
  } catch (error) {
    return survey(medium, 'hsm', serial, files, `it cannot be read to its end: ${(error as Error).message}`);
  }
}

async function survey(medium: Medium, kind: Survey['kind'], serial: string | null, files: readonly TapeFile[], problem: string | null): Promise<Survey> {
  const { barcode, writeProtected } = medium;
  const { capacity, used } = await medium.capacity();
  return { barcode, kind, serial, files, dump: await newestDump(medium, files), capacity, used, writeProtected, problem };
}

/** The last dump in `files`. A container that cannot be read is passed over. */
export async function newestDump(medium: Medium, files: readonly TapeFile[]): Promise<FoundDump | null> {
  for (const file of files.toReversed()) {
    const dump = await dumpIn(medium, file).catch(() => null);
    if (dump !== null) return dump;
  }
  return null;
}

async function dumpIn(medium: Medium, file: TapeFile): Promise<FoundDump | null> {
  const end = await readIndexEnd(medium, file.start, file.blocks);
  if (end?.members !== 1) return null;
  const [entry] = (await readIndexAfter(medium, file.start, end.offset)) ?? [];
  if (entry === undefined || entry.kind !== 'file' || !isCatalogueName(entry.name)) return null;
  return { name: entry.name.toString('latin1'), file, entry };
}
