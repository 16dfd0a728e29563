/** Keeps recalls from filling a filesystem: they wait for room, for so long, and then get ENOSPC. */
import { statfsSync } from 'node:fs';

export interface SpaceSettings {
  /** Percent of a filesystem that recalls leave free. */
  readonly keepFreePercent: number;
  /** How long a recall waits for room, ms. */
  readonly waitMs: number;
}

export interface Room {
  /** Bytes that users can have, and all there are. */
  readonly free: number;
  readonly total: number;
}

export type SpaceVerdict = 'go' | 'wait' | 'refuse';

export class Space<Request> {
  readonly #settings: SpaceSettings;
  readonly #now: () => number;
  readonly #roomOf: (path: string) => Room;
  /** Bytes that recalls under way may still take, by filesystem. */
  readonly #promised = new Map<string, number>();
  readonly #held = new Map<Request, { readonly path: string; readonly bytes: number }>();
  readonly #waiting = new Map<Request, number>();

  constructor(settings: SpaceSettings, now: () => number, roomOf = roomIn) {
    this.#settings = settings;
    this.#now = now;
    this.#roomOf = roomOf;
  }

  /** `go` promises the room to it until ended(). `bytes`: what its data takes. */
  begin(request: Request, path: string, bytes: number): SpaceVerdict {
    if (this.#held.has(request)) return 'go';
    const { free, total } = this.#roomOf(path);
    const left = free - (this.#promised.get(path) ?? 0) - (total * this.#settings.keepFreePercent) / 100;
    if (left >= bytes) {
      this.#waiting.delete(request);
      this.#held.set(request, { path, bytes });
      this.#promised.set(path, (this.#promised.get(path) ?? 0) + bytes);
      return 'go';
    }
    const since = this.#waiting.get(request) ?? this.#now();
    this.#waiting.set(request, since);
    return bytes > total || this.#now() - since >= this.#settings.waitMs ? 'refuse' : 'wait';
  }

  ended(request: Request): boolean {
    this.#waiting.delete(request);
    const held = this.#held.get(request);
    if (held === undefined) return false;
    this.#held.delete(request);
    this.#promised.set(held.path, (this.#promised.get(held.path) ?? 0) - held.bytes);
    return true;
  }
}

/** linux/magic.h */
const btrfsMagic = 0x9123683e;

/** btrfs says that users can have nothing when its metadata is short of room, however much is free for data (btrfs_statfs in fs/btrfs/super.c). */
export function roomIn(path: string): Room {
  const { bavail, bfree, blocks, bsize, type } = statfsSync(path);
  return { free: (type === btrfsMagic ? bfree : bavail) * bsize, total: blocks * bsize };
}
