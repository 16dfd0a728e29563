/**
 * SIMH magnetic tape images (.tap): each block is `u32 LE length | data | pad to even | length`, a filemark is
 * `00000000`. Source: "SIMH Magtape Representation and Handling", open-simh/simh doc/simh_magtape.doc.
 */

/** Longest block that a 24-bit length can say. */
export const tapMaxBlock = 0xff_ffff;
export const tapMarkLength = 4;

export const tapMarkers = { filemark: 0, gap: 0xffff_fffe, end: 0xffff_ffff } as const;

/** Set in the marker of a block that the original tape could not give back. */
const errorFlag = 0x8000_0000;

export type TapObject = 'block' | 'bad-block' | 'filemark' | 'gap' | 'end' | 'unknown';

/** What a marker announces. `unknown`: a class that this program does not write, or garbage. */
export function tapObject(marker: number): TapObject {
  if (marker === tapMarkers.filemark) return 'filemark';
  if (marker === tapMarkers.gap) return 'gap';
  if (marker === tapMarkers.end) return 'end';
  if (marker <= tapMaxBlock) return 'block';
  const bare = marker - errorFlag;
  return bare >= 0 && bare <= tapMaxBlock ? 'bad-block' : 'unknown';
}

/** Data bytes of the object behind a marker; 0 for a filemark. */
export const tapLength = (marker: number): number => marker & tapMaxBlock;

/** Bytes that an object takes in the file, markers and padding included. */
export function tapSize(marker: number): number {
  const length = tapLength(marker);
  return marker === tapMarkers.filemark ? tapMarkLength : 2 * tapMarkLength + length + (length & 1);
}
