/** Brings the head of a loaded volume before a block, in the quickest way. */
import { errorCode } from '../errors.ts';
import type { Medium } from '../media/medium.ts';
import { isReadThrough, type Geometry } from './scheduler/travel.ts';

/** Where nothing is known of the tape, so many blocks are read and thrown away rather than located over. */
const readThrough = 4;

/** `scratch` holds any block of the volume. `locating` is called before a move that takes a while. */
export async function approach(medium: Medium, target: number, geometry: Geometry | null, scratch: Buffer, locating: () => void): Promise<void> {
  const here = await medium.position();
  if (here === target) return;
  if (isNear(here, target, geometry)) {
    await readOn(medium, target - here, scratch);
    if ((await medium.position()) === target) return;
  }
  locating();
  await medium.locate(target);
}

/** True where `target` is reached sooner by reading on. */
export const isNear = (here: number, target: number, geometry: Geometry | null): boolean =>
  target >= here && (geometry === null ? target - here <= readThrough : isReadThrough(geometry, here, target));

/** What cannot be read there is wanted by nobody: the locate that follows goes over it. */
async function readOn(medium: Medium, blocks: number, scratch: Buffer): Promise<void> {
  try {
    for (let i = 0; i < blocks; i += 1) if ((await medium.readBlock(scratch)) === 'end') return;
  } catch (error) {
    if (['ECANCELED', 'NOT_LOADED'].includes(errorCode(error))) throw error;
  }
}
