/** What recall jobs were asked for, in a file each: the next daemon takes up what this one leaves (docs/decisions/0013-what-outlives-the-daemon.md). */
import { chmodSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { removeDurably, writeFileAtomic } from '../media/atomic-file.ts';
import type { Params } from './params.ts';

export interface KeptJob {
  readonly params: Params;
  /** How often a daemon took it up and ended without a stop: what kills daemons is not taken up for ever. */
  readonly crashes: number;
}

/** What Jobs needs of a place that outlives the daemon. */
export interface JobKeeper {
  /** Durable when it resolves. */
  keep(id: number, job: KeptJob): Promise<void>;
  drop(id: number): Promise<void>;
  all(): ReadonlyMap<number, KeptJob>;
}

export class JobFolder implements JobKeeper {
  readonly #folder: string;

  /** Paths are nobody's business but root's. */
  constructor(state: string) {
    this.#folder = join(state, 'jobs');
    mkdirSync(this.#folder, { recursive: true });
    chmodSync(this.#folder, 0o700);
  }

  keep(id: number, job: KeptJob): Promise<void> {
    return writeFileAtomic(this.#file(id), JSON.stringify(job));
  }

  drop(id: number): Promise<void> {
    return removeDurably(this.#file(id));
  }

  /** Those that cannot be read are left out. */
  all(): ReadonlyMap<number, KeptJob> {
    const jobs = new Map<number, KeptJob>();
    for (const name of readdirSync(this.#folder)) {
      const id = /^j(\d+)\.json$/.exec(name)?.[1];
      const job = id === undefined ? null : parse(readFileSync(join(this.#folder, name), 'utf8'));
      if (job !== null) jobs.set(Number(id), job);
    }
    return jobs;
  }

  #file(id: number): string {
    return join(this.#folder, `j${id}.json`);
  }
}

function parse(text: string): KeptJob | null {
  try {
    return JSON.parse(text) as KeptJob;
  } catch {
    return null;
  }
}
