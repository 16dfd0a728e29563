/** Pauses and holds: whether something is paused, and what turns that round. */
import type { PauseLine } from '../daemon/protocol.ts';
import { type Moment, shown } from './listing.ts';
import type { Mirror } from './mirror.ts';
import { askText, confirm, type Step } from './model.ts';

export type Pausable = Pick<PauseLine, 'kind' | 'name'>;

export const pauseOf = ({ status }: Pick<Mirror, 'status'>, { kind, name }: Pausable): PauseLine | null =>
  status?.pauses?.find((each) => each.kind === kind && each.name === name) ?? null;

/** Asks why before it pauses, and whether before it lets go on. */
export function toggle(wanted: Pausable, mirror: Mirror, { userName }: Moment): Step {
  const { kind, name } = wanted;
  const what = kind === 'all' ? 'all recalls' : kind === 'user' ? `recalls of ${userName(Number(name))}` : kind === 'volume' ? `recalls from ${shown(name)}` : `recalls in ${shown(name)}`;
  const params = { kind, ...(name === null ? {} : { name }) };
  const present = pauseOf(mirror, wanted);
  if (present !== null) {
    const effects = [{ kind: 'call', calls: [{ method: 'resume', params }], said: `${what} go on` }] as const;
    return { dialog: confirm(`Let ${what} go on?`, [`Paused since ${present.since}${present.reason === null ? '' : `: ${shown(present.reason)}`}`], effects) };
  }
  const about = ['Readers go on waiting until somebody lets them go on. Everybody sees the reason; it may be empty.'];
  return {
    dialog: askText(`Why do ${what} wait?`, about, '', (text) => ({
      effects: [{ kind: 'call', calls: [{ method: 'pause', params: { ...params, reason: text === '' ? null : text } }], said: `${what} wait` }],
    })),
  };
}
