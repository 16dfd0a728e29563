/** Notices when one user asks for very many files at once. */

export interface Storm {
  readonly uid: number;
  /** The program that asks for most of them. */
  readonly exe: string;
  readonly requests: number;
  /** ms since the epoch. */
  readonly since: number;
}

interface Load {
  readonly programs: Map<string, number>;
  requests: number;
  since: number | null;
}

/** A storm is over when so much of the threshold is left. */
const calm = 0.5;

export class Storms {
  readonly #threshold: number;
  readonly #now: () => number;
  readonly #changed: (storm: Storm, begun: boolean) => void;
  readonly #loads = new Map<number, Load>();

  /** `threshold`: requests of one user at a time; 0: nothing is a storm. */
  constructor(threshold: number, now: () => number, changed: (storm: Storm, begun: boolean) => void) {
    this.#threshold = threshold;
    this.#now = now;
    this.#changed = changed;
  }

  begun(uid: number, exe: string): void {
    const load: Load = this.#loads.get(uid) ?? { programs: new Map<string, number>(), requests: 0, since: null };
    this.#loads.set(uid, load);
    load.requests += 1;
    load.programs.set(exe, (load.programs.get(exe) ?? 0) + 1);
    if (this.#threshold === 0 || load.since !== null || load.requests < this.#threshold) return;
    load.since = this.#now();
    this.#changed(stormOf(uid, load), true);
  }

  ended(uid: number, exe: string): void {
    const load = this.#loads.get(uid);
    if (load === undefined) return;
    load.requests -= 1;
    const left = (load.programs.get(exe) ?? 1) - 1;
    if (left > 0) load.programs.set(exe, left);
    else load.programs.delete(exe);
    if (load.since !== null && load.requests <= this.#threshold * calm) {
      this.#changed(stormOf(uid, load), false);
      load.since = null;
    }
    if (load.requests === 0) this.#loads.delete(uid);
  }

  get rows(): Storm[] {
    return [...this.#loads].filter(([, { since }]) => since !== null).map(([uid, load]) => stormOf(uid, load));
  }
}

function stormOf(uid: number, { programs, requests, since }: Load): Storm {
  const [exe = ''] = [...programs].sort(([, a], [, b]) => b - a)[0] ?? [];
  return { uid, exe, requests, since: since ?? 0 };
}
