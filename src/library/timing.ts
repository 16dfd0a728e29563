/** How long tape takes: a pure model of LTO drives, used by the virtual library to behave like one and by recalls to plan. */

export interface TapeModel {
  readonly wraps: number;
  readonly loadSeconds: number;
  readonly unloadSeconds: number;
  /** Average over all positions of a full tape. */
  readonly rewindSeconds: number;
  /** Bytes a second while streaming, and the slowest that the drive can match without stopping. */
  readonly rate: number;
  readonly slowestRate: number;
  readonly bufferBytes: number;
  /** One move of the robot between slot and drive. */
  readonly moveSeconds: number;
  /** Stopping, running back and starting again after the buffer ran empty (writing) or full (reading). */
  readonly backHitchSeconds: number;
  readonly syncSeconds: number;
}

/** Half-height load and unload times and full-height rates, as vendors publish them. */
export const tapeModels = {
  lto8: {
    wraps: 208,
    loadSeconds: 15,
    unloadSeconds: 24,
    rewindSeconds: 59,
    rate: 360e6,
    slowestRate: 112e6,
    bufferBytes: 2 ** 30,
    moveSeconds: 10,
    backHitchSeconds: 3,
    syncSeconds: 2,
  },
  lto9: {
    wraps: 280,
    loadSeconds: 16,
    unloadSeconds: 56,
    rewindSeconds: 62,
    rate: 400e6,
    slowestRate: 177e6,
    bufferBytes: 2 ** 30,
    moveSeconds: 10,
    backHitchSeconds: 3,
    syncSeconds: 2,
  },
} as const satisfies Record<string, TapeModel>;

export type Timing = 'none' | keyof typeof tapeModels;

export const tapeModel = (timing: Timing): TapeModel | null => (timing === 'none' ? null : tapeModels[timing]);

/** Of the drives that such a cartridge belongs into, by the two characters that end its barcode; null: none that is known. */
export function modelOfBarcode(barcode: string): TapeModel | null {
  const models: Readonly<Record<string, TapeModel>> = { L8: tapeModels.lto8, L9: tapeModels.lto9 };
  return models[barcode.slice(-2)] ?? null;
}

/** Seconds to put the volume of a drive away and have another one ready. */
export const mountSeconds = ({ unloadSeconds, moveSeconds, loadSeconds }: TapeModel): number => unloadSeconds + 2 * moveSeconds + loadSeconds;

/** Bytes that a cartridge holds uncompressed, by the two characters that end an LTO barcode; LTO-6's for any other. */
export function nativeCapacity(barcode: string): number {
  const generations: Readonly<Record<string, number>> = { L5: 1.5e12, L6: 2.5e12, L7: 6e12, M8: 9e12, L8: 12e12, L9: 18e12 };
  return generations[barcode.slice(-2)] ?? 2.5e12;
}

/** Where on the tape something lies: even wraps run away from the beginning of the tape, odd ones back. */
export interface PhysicalPosition {
  readonly wrap: number;
  readonly lpos: number;
}

/** Longitudinal positions along the tape, in the drive's own unit (about 6 mm). */
export const lposRange = { first: 2_696, last: 171_097 } as const;

/** The data band that a wrap belongs to is one of four. */
const bands = 4;

/** `offset` bytes into a volume of `capacity` bytes, which is spread evenly over all wraps. */
export function physicalPosition(model: TapeModel, capacity: number, offset: number): PhysicalPosition {
  const wraps = (Math.min(offset, capacity) / capacity) * model.wraps;
  const wrap = Math.min(model.wraps - 1, Math.floor(wraps));
  const along = Math.min(1, wraps - wrap);
  const fraction = wrap % 2 === 0 ? along : 1 - along;
  return { wrap, lpos: Math.round(lposRange.first + fraction * (lposRange.last - lposRange.first)) };
}

/**
 * Seconds from the end of one read to the beginning of the next. Constants as published in the CERN Tape Archive
 * (CTACostHeuristic), fitted to LTO drives.
 */
export function locateSeconds(model: TapeModel, from: PhysicalPosition, to: PhysicalPosition): number {
  const wrapsPerBand = model.wraps / bands;
  const changesBand = Math.floor(from.wrap / wrapsPerBand) !== Math.floor(to.wrap / wrapsPerBand);
  const seconds =
    4.29 +
    6.69 * Number(from.wrap !== to.wrap) +
    3.2 * Number(changesBand) -
    6.04 * Number(half(from) !== half(to)) +
    5.22 * Number(from.wrap % 2 !== to.wrap % 2) +
    11.32 * Number(isBehind(from, to)) +
    0.000_619_2 * Math.abs(to.lpos - from.lpos);
  return Math.max(0, seconds);
}

/** To the beginning of the tape, from where rewinding takes no time at all. */
export function rewindSeconds(model: TapeModel, from: PhysicalPosition): number {
  return (2 * model.rewindSeconds * (from.lpos - lposRange.first)) / (lposRange.last - lposRange.first);
}

const middle = (lposRange.first + lposRange.last) / 2;

const half = (position: PhysicalPosition): 0 | 1 => (position.lpos < middle ? 0 : 1);

/** On the same wrap, against its direction. */
function isBehind(from: PhysicalPosition, to: PhysicalPosition): boolean {
  if (from.wrap !== to.wrap) return false;
  return from.wrap % 2 === 0 ? to.lpos < from.lpos : to.lpos > from.lpos;
}
