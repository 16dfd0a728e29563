/** Recalls ahead of who reads one file after the other: what lies behind on the tape is brought along before it is asked for. */
import { closeSync, constants } from 'node:fs';
import { join } from 'node:path';
import type { Catalog } from '../catalog/model.ts';
import { native } from '../native/index.ts';
import { readInode } from './classify.ts';
import { usable } from './copies.ts';
import type { Asker } from './limits/rules.ts';
import type { RecallerOptions, Wanted } from './recaller-options.ts';
import type { RecallFailure, RecallRequest } from './requests.ts';

export interface PrefetchOptions extends Pick<RecallerOptions, 'filesystems' | 'log'> {
  /** How many files are brought along at a time; 0: none. */
  readonly files: number;
  readonly catalog: Pick<Catalog, 'objectsOnVolume'>;
  readonly want: (batch: readonly Wanted[]) => Promise<void>;
  /** Nobody reads on there any more: what is still to come for this user is dropped. */
  readonly drop: (uid: number, volume: string) => void;
  /** ms. */
  readonly now: () => number;
}

/** How recalling ahead ends where there is no room for it, or nobody left who might ask for the file. */
export const dropped: RecallFailure = { code: 'EAGAIN', message: 'it is not recalled ahead any more' };

/** So many files of one container that a user's programs want within a minute are a walk: grep -r, find -exec, a build. */
const walkFiles = 8;
const walkMs = 60_000;
const mostWalks = 1000;
/** The next batch begins when so much of the last one is left. */
const restShare = 1 / 8;
/** Where there was no room, the next try is so much later. */
const noRoomMs = 10_000;
/** No job has this number. */
const nobody = 0;

interface Walk {
  files: number;
  seenAt: number;
  /** Brought along, or on its way, up to here. */
  ahead: Place;
  busy: boolean;
  /** Files on their way. */
  underWay: number;
  /** Not before then is anything brought along, ms. */
  notBefore: number;
}

interface Place {
  readonly container: number;
  readonly offset: number;
}

export class Prefetcher {
  readonly #options: PrefetchOptions;
  /** By user and volume. */
  readonly #walks = new Map<string, Walk>();

  constructor(options: PrefetchOptions) {
    this.#options = options;
  }

  /** A reader's request was queued, or joins what is brought along. */
  noticed(asker: Asker, { copies: [copy] }: Pick<RecallRequest, 'copies'>): void {
    const { files, log, now } = this.#options;
    if (files === 0 || copy === undefined) return;
    const key = keyOf(asker.uid, copy.volume);
    const walk = this.#walk(key, now());
    walk.files += 1;
    walk.seenAt = now();
    if (walk.files < walkFiles || walk.busy || walk.underWay > files * restShare || walk.notBefore > now()) return;
    walk.busy = true;
    this.#fetch(asker, copy.volume, later(walk.ahead, copy), walk)
      .catch((error: unknown) => log.warn({ error, volume: copy.volume }, 'nothing could be recalled ahead'))
      .finally(() => (walk.busy = false));
  }

  /** A reader of the walk was refused or died while he waited. */
  ended(uid: number, volume: string): void {
    if (this.#walks.delete(keyOf(uid, volume))) this.#options.drop(uid, volume);
  }

  #walk(key: string, now: number): Walk {
    const known = this.#walks.get(key);
    const isOld = known !== undefined && now - known.seenAt >= walkMs && known.underWay === 0;
    const walk = known !== undefined && !isOld ? known : { files: 0, seenAt: now, ahead: { container: 0, offset: 0 }, busy: false, underWay: 0, notBefore: 0 };
    this.#walks.delete(key);
    this.#walks.set(key, walk);
    for (const oldest of this.#walks.keys()) {
      if (this.#walks.size <= mostWalks) break;
      this.#walks.delete(oldest);
    }
    return walk;
  }

  async #fetch(asker: Asker, volume: string, after: Place, walk: Walk): Promise<void> {
    const { catalog, files, want } = this.#options;
    const rows = await catalog.objectsOnVolume(volume, after, files);
    const last = rows.at(-1);
    if (last === undefined || this.#walks.get(keyOf(asker.uid, volume)) !== walk) return;
    walk.ahead = last.copy;
    const batch = rows.flatMap(({ object, copy, filesystem, path }) => {
      // What is read from another volume would load that one.
      if (object.copies.find(usable)?.volume !== volume) return [];
      return this.#wanted(asker, filesystem, path, (failure) => this.#cameTo(walk, copy, failure)) ?? [];
    });
    walk.underWay += batch.length;
    await want(batch);
  }

  #cameTo(walk: Walk, { container, offset }: Place, failure: RecallFailure | null): void {
    walk.underWay -= 1;
    if (failure !== dropped) return;
    walk.notBefore = this.#options.now() + noRoomMs;
    // It is the first of the next batch.
    walk.ahead = earlier(walk.ahead, { container, offset: offset - 1 });
  }

  /** Null where it is no stub any more. */
  #wanted(ahead: Asker, filesystem: number | null, relPath: Buffer | null, ended: (failure: RecallFailure | null) => void): Wanted | null {
    const index = this.#options.filesystems.findIndex(({ id }) => id === filesystem);
    const managed = this.#options.filesystems[index];
    if (managed === undefined || relPath === null || managed.mountFd < 0) return null;
    let fd: number;
    try {
      fd = native.openBeneath(managed.mountFd, relPath, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOATIME);
    } catch {
      // It was renamed or removed since: nobody has asked for it yet.
      return null;
    }
    try {
      const { stat, bytes } = readInode(fd);
      if (bytes === null) return null;
      return { filesystem: index, ino: stat.ino, bytes, path: join(managed.path, relPath.toString()), interest: { job: nobody, relPath, ended }, ahead };
    } finally {
      closeSync(fd);
    }
  }
}

const keyOf = (uid: number, volume: string): string => `${uid}:${volume}`;

const isLater = (a: Place, b: Place): boolean => a.container > b.container || (a.container === b.container && a.offset > b.offset);
const later = (a: Place, b: Place): Place => (isLater(a, b) ? a : b);
const earlier = (a: Place, b: Place): Place => (isLater(a, b) ? b : a);
