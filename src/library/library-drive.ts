/** One drive of a library: what it holds and what it is doing. */
import { HsmError } from '../errors.ts';
import type { Medium } from '../media/medium.ts';
import type { DriveState, DriveStatus } from './library.ts';

/** `busy` is the ready drive while its medium is at work or on its way out, and follows from that. */
export const driveMoves = {
  empty: ['loading'],
  loading: ['ready', 'empty', 'failed'],
  ready: ['loading', 'empty', 'failed'],
  failed: ['empty', 'ready'],
} as const satisfies Record<Exclude<DriveState, 'busy'>, readonly DriveState[]>;

export type SteadyDriveState = keyof typeof driveMoves;

/** `Cartridge` is the loaded volume itself, under whatever decorators its user was given. */
export class LibraryDrive<Cartridge extends { readonly busy: boolean } = { readonly busy: boolean }> {
  readonly name: string;
  admin: 'up' | 'down' = 'up';
  reason: string | null = null;
  /** Why the drive failed, until it is set up again. */
  failure: string | null = null;
  /** What sits in the drive, loaded or not. */
  barcode: string | null = null;
  cartridge: Cartridge | null = null;
  /** What the user of the drive was given: the cartridge in its decorators. */
  medium: Medium | null = null;
  #state: SteadyDriveState = 'empty';
  #moving = false;

  constructor(name: string) {
    this.name = name;
  }

  get state(): DriveState {
    return this.#state === 'ready' && this.#occupied ? 'busy' : this.#state;
  }

  get status(): DriveStatus {
    return { name: this.name, state: this.state, admin: this.admin, reason: this.failure ?? this.reason, barcode: this.barcode };
  }

  move(to: SteadyDriveState): void {
    const moves: readonly DriveState[] = driveMoves[this.#state];
    if (to !== this.#state && !moves.includes(to)) throw new HsmError('BAD_MOVE', `drive ${this.name} cannot go from ${this.#state} to ${to}`);
    this.#state = to;
  }

  /** Runs `action` as the only load or unload of this drive. Fails with `EBUSY` when there is one, or when the medium is at work. */
  async exclusively<T>(action: () => Promise<T>): Promise<T> {
    if (this.#occupied) throw new HsmError('EBUSY', `drive ${this.name} is busy`, { retry: 'later' });
    this.#moving = true;
    try {
      return await action();
    } finally {
      this.#moving = false;
    }
  }

  get #occupied(): boolean {
    return this.#moving || this.cartridge?.busy === true;
  }
}
