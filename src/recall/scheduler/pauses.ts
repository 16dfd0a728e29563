/** What operators stopped for a while: everything, a volume, a drive, or one user's recalls. Nobody is sent away by it; all wait. */

export type Pause =
  | { readonly kind: 'all' }
  | { readonly kind: 'volume'; readonly name: string }
  | { readonly kind: 'drive'; readonly name: string }
  | { readonly kind: 'user'; readonly uid: number };

export interface PauseRow {
  readonly pause: Pause;
  readonly reason: string | null;
  /** ms since the epoch. */
  readonly since: number;
}

export class Pauses {
  readonly #rows = new Map<string, PauseRow>();

  /** Again with another reason changes the reason. */
  set(pause: Pause, reason: string | null, now: number): void {
    this.#rows.set(keyOf(pause), { pause, reason, since: now });
  }

  /** False when there was no such pause. */
  clear(pause: Pause): boolean {
    return this.#rows.delete(keyOf(pause));
  }

  get rows(): PauseRow[] {
    return [...this.#rows.values()];
  }

  get drives(): string[] {
    return this.rows.flatMap(({ pause }) => (pause.kind === 'drive' ? [pause.name] : []));
  }

  /** Why this volume is not read now, for people; null: nothing stops it. */
  ofVolume(volume: string): string | null {
    return this.#text({ kind: 'all' }, 'recalls are paused') ?? this.#text({ kind: 'volume', name: volume }, `${volume} is held`);
  }

  ofUser(uid: number): string | null {
    return this.#text({ kind: 'user', uid }, `recalls of user ${uid} are paused`);
  }

  #text(pause: Pause, what: string): string | null {
    const row = this.#rows.get(keyOf(pause));
    if (row === undefined) return null;
    return row.reason === null ? what : `${what}: ${row.reason}`;
  }
}

const keyOf = (pause: Pause): string => `${pause.kind}:${pause.kind === 'user' ? pause.uid : pause.kind === 'all' ? '' : pause.name}`;
