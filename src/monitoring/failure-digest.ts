/** Recalls that failed, told at most once a minute: a tape that breaks fails thousands. */
import type { RecallEnd } from '../recall/recaller-options.ts';

export interface FailedRecalls {
  /** Since it was told last. */
  readonly count: number;
  /** Of the first of them. */
  readonly path: string;
  readonly errno: string;
  readonly reason: string;
}

/** Failures of hsm, not refusals: a limit's EPERM is as it should be. */
const failures: readonly string[] = ['EIO', 'ENOSPC', 'EDQUOT'];

export class FailureDigest {
  readonly #tell: (failed: FailedRecalls) => void;
  readonly #pauseMs: number;
  #since: FailedRecalls | null = null;
  #isPausing = false;

  constructor(tell: (failed: FailedRecalls) => void, pauseMs = 60_000) {
    this.#tell = tell;
    this.#pauseMs = pauseMs;
  }

  add({ errno, failure, isCancelled, path }: Pick<RecallEnd, 'errno' | 'failure' | 'isCancelled' | 'path'>): void {
    if (failure === null || errno === null || isCancelled || !failures.includes(errno)) return;
    this.#since = { ...(this.#since ?? { path, errno, reason: failure.message }), count: (this.#since?.count ?? 0) + 1 };
    if (!this.#isPausing) this.#say();
  }

  #say(): void {
    this.#isPausing = this.#since !== null;
    if (this.#since === null) return;
    this.#tell(this.#since);
    this.#since = null;
    setTimeout(() => this.#say(), this.#pauseMs).unref();
  }
}
