/** Makes a virtual drive take the time that tape takes. */
import { HsmError } from '../errors.ts';
import type { Mechanics } from '../media/virtual-cartridge.ts';
import type { Clock } from './clock.ts';
import { locateSeconds, physicalPosition, rewindSeconds } from './timing.ts';
import type { PhysicalPosition, TapeModel } from './timing.ts';

/** Shorter waits are saved up: a timer is no better than a millisecond or two. */
const shortestSleepMs = 5;

export class TapeMechanics implements Mechanics {
  readonly #model: TapeModel;
  readonly #capacity: number;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #bufferMs: number;
  #streaming: 'read' | 'write' | null = null;
  /** When the tape has passed under the head all that was asked for. */
  #passedAt = 0;
  /** When a drive at its slowest would have to stop for want of data or of room. */
  #starvedAt = 0;
  /** How often the tape had to stop and run back. */
  backHitches = 0;

  constructor(model: TapeModel, capacity: number, clock: Clock, signal: AbortSignal) {
    this.#model = model;
    this.#capacity = capacity;
    this.#clock = clock;
    this.#signal = signal;
    this.#bufferMs = (1000 * model.bufferBytes) / model.rate;
  }

  async locate(from: number, to: number): Promise<void> {
    await this.#stop();
    if (from === to) return;
    const start = this.physicalPosition(from);
    await this.#sleep(1000 * (to === 0 ? rewindSeconds(this.#model, start) : locateSeconds(this.#model, start, this.physicalPosition(to))));
  }

  /**
   * The drive's buffer hides up to its size: a writer gets that far ahead of the tape, the tape that far ahead of a
   * reader. A caller slower than the slowest speed makes the tape stop each time the buffer has run dry.
   */
  async stream(direction: 'read' | 'write', bytes: number): Promise<void> {
    const now = this.#clock.now();
    if (this.#streaming !== direction) {
      this.#streaming = direction;
      this.#passedAt = Math.max(this.#passedAt, now);
      this.#starvedAt = now + this.#starvationMs;
    } else if (now > this.#starvedAt) {
      this.backHitches += 1;
      this.#passedAt = Math.max(this.#passedAt, now - this.#bufferMs) + 1000 * this.#model.backHitchSeconds;
      this.#starvedAt = now + this.#starvationMs;
    }
    const start = Math.max(this.#passedAt, direction === 'write' ? now : now - this.#bufferMs);
    this.#passedAt = start + (1000 * bytes) / this.#model.rate;
    this.#starvedAt += (1000 * bytes) / this.#model.slowestRate;
    const ahead = this.#passedAt - now - (direction === 'write' ? this.#bufferMs : 0);
    if (ahead > shortestSleepMs) await this.#sleep(ahead);
  }

  async flush(): Promise<void> {
    await this.#stop();
    await this.#sleep(1000 * this.#model.syncSeconds);
  }

  physicalPosition(offset: number): PhysicalPosition {
    return physicalPosition(this.#model, this.#capacity, offset);
  }

  get #starvationMs(): number {
    return (1000 * this.#model.bufferBytes) / this.#model.slowestRate;
  }

  /** What is in the buffer reaches the tape before it moves elsewhere. */
  async #stop(): Promise<void> {
    const rest = this.#streaming === 'write' ? this.#passedAt - this.#clock.now() : 0;
    this.#streaming = null;
    if (rest > 0) await this.#sleep(rest);
  }

  #sleep(ms: number): Promise<void> {
    return pause(this.#clock, ms, this.#signal);
  }
}

/** Sleeps; when the library closes meanwhile, fails with `ECANCELED` (retry 'later'). */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(ms, signal);
  } catch (cause) {
    throw new HsmError('ECANCELED', 'the library is closing', { retry: 'later', cause });
  }
}
