/** The state that a volume gets in a rebuilt catalogue. */
import type { VolumeRow, VolumeState } from '../catalog/model.ts';
import type { TapeFile } from '../media/tape-files.ts';
import type { Survey } from './survey.ts';

export interface StateOnTape {
  readonly state: VolumeState;
  readonly reason: string | null;
}

/**
 * `known`: the row that a catalogue dump has of it; `lost`: containers of the dump that are not there; `void`: whether what lies at its
 * end holds nothing and may be overwritten. In doubt it is not written any more.
 */
export function stateOnTape(survey: Survey, known: Pick<VolumeRow, 'state' | 'reason'> | undefined, { lost, hasVoidEnd }: { readonly lost: number; readonly hasVoidEnd: boolean }): StateOnTape {
  const { kind, files, problem, capacity, used, writeProtected } = survey;
  if (problem !== null) return { state: 'suspect', reason: problem };
  if (lost > 0) return { state: 'suspect', reason: `${lost} ${lost === 1 ? 'container' : 'containers'} of the catalogue ${lost === 1 ? 'is' : 'are'} not on it` };
  if (known !== undefined && kept.includes(known.state)) return { state: known.state, reason: known.reason };
  if (writeProtected) return { state: 'readonly', reason: 'write protected' };
  if (kind === 'blank' || (files.length === 0 && known?.state !== 'writable')) return { state: 'scratch', reason: null };
  if (isTorn(files) && !hasVoidEnd) return { state: 'readonly', reason: 'its last container has no filemark: it was being written when the power or a process went' };
  if (known?.state === 'full' || used >= capacity) return { state: 'full', reason: null };
  return { state: 'writable', reason: null };
}

/** What an operator, or an error, said of it still holds. */
const kept: readonly VolumeState[] = ['readonly', 'suspect', 'failed'];

const isTorn = (files: readonly TapeFile[]): boolean => files.at(-1)?.ended === false;
