/** Recalls ahead of who reads one file after the other: what lies behind on the tape is brought along before it is asked for. */
import { closeSync, constants } from 'node:fs';
import { join } from 'node:path';
import type { Catalog } from '../catalog/model.ts';
import { native } from '../native/index.ts';
import { readInode } from './classify.ts';
import type { RecallerOptions, Wanted } from './recaller-options.ts';
import type { RecallRequest } from './requests.ts';

export interface PrefetchOptions extends Pick<RecallerOptions, 'filesystems' | 'log'> {
  /** How many files are brought along at a time; 0: none. */
  readonly files: number;
  readonly catalog: Pick<Catalog, 'objectsOnVolume'>;
  readonly want: (batch: readonly Wanted[]) => Promise<void>;
}

/** So many files of one container that a user's programs want within a minute are a walk: grep -r, find -exec, a build. */
const walkFiles = 8;
const walkMs = 60_000;
const mostWalks = 1000;
/** No job has this number. */
const nobody = 0;

interface Walk {
  files: number;
  seenAt: number;
  /** Brought along up to here. */
  ahead: Place;
  busy: boolean;
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

  /** A reader's request was queued. */
  noticed({ asker, copies: [copy] }: RecallRequest): void {
    if (this.#options.files === 0 || asker === null || copy === undefined) return;
    const key = `${asker.uid}:${copy.volume}`;
    const now = Date.now();
    const known = this.#walks.get(key);
    const walk = known !== undefined && now - known.seenAt < walkMs ? known : { files: 0, seenAt: now, ahead: { container: 0, offset: 0 }, busy: false };
    this.#walks.delete(key);
    this.#walks.set(key, walk);
    for (const oldest of this.#walks.keys()) {
      if (this.#walks.size <= mostWalks) break;
      this.#walks.delete(oldest);
    }
    walk.files += 1;
    walk.seenAt = now;
    // What lies before that was brought along, or is on its way.
    if (walk.files < walkFiles || walk.busy) return;
    walk.busy = true;
    this.#fetch(copy.volume, later(walk.ahead, { container: copy.container, offset: copy.offset }), walk)
      .catch((error: unknown) => this.#options.log.warn({ error, volume: copy.volume }, 'nothing could be recalled ahead'))
      .finally(() => (walk.busy = false));
  }

  async #fetch(volume: string, after: Place, walk: Walk): Promise<void> {
    const { catalog, files, want } = this.#options;
    const rows = await catalog.objectsOnVolume(volume, after, files);
    const last = rows.at(-1);
    if (last === undefined) return;
    walk.ahead = { container: last.copy.container, offset: last.copy.offset };
    await want(rows.flatMap(({ filesystem, path }) => this.#wanted(filesystem, path) ?? []));
  }

  /** Null where it is no stub any more. */
  #wanted(filesystem: number | null, relPath: Buffer | null): Wanted | null {
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
      return { filesystem: index, ino: stat.ino, bytes, path: join(managed.path, relPath.toString()), interest: { job: nobody, relPath, ended: () => undefined } };
    } finally {
      closeSync(fd);
    }
  }
}

const later = (a: Place, b: Place): Place => (a.container > b.container || (a.container === b.container && a.offset > b.offset) ? a : b);
