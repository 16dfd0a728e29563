/** Which copies of an object can be read. */
import type { CopyRow } from '../catalog/model.ts';

export const usable = (copy: CopyRow): boolean => copy.volumeState !== 'failed' && copy.volumeState !== 'exported';

/** Why none can, for people. */
export function unusable(copies: readonly CopyRow[]): string {
  const volumes = [...new Set(copies.map(({ volume, volumeState }) => `${volume} (${volumeState})`))];
  return volumes.length === 0 ? 'no copy of it is recorded' : `no usable copy: ${volumes.join(', ')}`;
}
