/** Takes objects off a volume: which of its copies count, how they get other ones, and when they may go. Every promise of reclaim is kept here, in SQL. */
import type { Statement } from 'better-sqlite3';
import { HsmError, refusal } from '../errors.ts';
import type { Containers } from './containers.ts';
import { integer, type Database } from './database.ts';
import type { CopyToKeep, FileState, NewCopy } from './model.ts';
import { fileStateCodes, needsObject } from './states.ts';
import { note, type Usage, type UsageChanges } from './usage.ts';
import type { Volumes } from './volumes.ts';

const needing = (Object.keys(fileStateCodes) as FileState[]).filter(needsObject).map((state) => fileStateCodes[state]);

/** A file's row names it, whatever the file's state is. */
const isPresent = `EXISTS (SELECT 1 FROM files f WHERE f.filesystem = o.filesystem AND f.ino = o.ino AND f.object = o.n)`;
const isNeeded = `EXISTS (SELECT 1 FROM files f WHERE f.filesystem = o.filesystem AND f.ino = o.ino AND f.object = o.n AND f.state IN (${needing.join(', ')}))`;

/** Another copy in the same pool, read back and on a volume that can be trusted and is none of `leaving` (JSON), of the copy `p` in container `c` on volume `v`. */
const isElsewhere = (leaving: string): string => `EXISTS (
  SELECT 1 FROM copies q JOIN containers d ON d.id = q.container JOIN volumes w ON w.id = d.volume
  WHERE q.object = p.object AND w.id <> v.id AND w.pool IS v.pool AND d.state IN ('closed', 'truncated') AND d.verified = 1
  AND w.state IN ('writable', 'full', 'readonly', 'exported') AND w.barcode NOT IN (SELECT value FROM json_each(${leaving})))`;

interface StoredCopy {
  readonly id: Buffer;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly sha256: Buffer;
  readonly filesystem: bigint;
  readonly offset: bigint;
  readonly length: bigint;
  readonly present: bigint;
  readonly endedAt: bigint | null;
  readonly elsewhere: bigint;
}

interface Moved {
  readonly object: number;
  readonly length: number;
  readonly needed: 0 | 1;
}

const ofContainer = `FROM copies p JOIN objects o ON o.n = p.object JOIN containers c ON c.id = p.container JOIN volumes v ON v.id = c.volume WHERE p.container = ${integer}`;

export class Reclaim {
  readonly #volumes: Volumes;
  readonly #containers: Containers;
  readonly #usage: Usage;
  readonly #copies: Statement<[string, number, number, number], StoredCopy>;
  readonly #object: Statement<[Buffer], { n: number; needed: 0 | 1 }>;
  readonly #add: Statement<[number, number, number, number]>;
  readonly #moved: Statement<[number, number], Moved>;
  readonly #movedOne: Statement<[number, Buffer], Moved>;
  readonly #drop: Statement<[number, number]>;
  readonly #expired: Statement<[Buffer, number], number>;
  readonly #copyOf: Statement<[number, number], number>;
  readonly #hasCopy: Statement<[number], number>;
  readonly #forgetVersion: Statement<[number]>;
  readonly #forgetObject: Statement<[number]>;
  readonly #voidContainers: Statement<[number]>;
  readonly #forgetCopies: Statement<[number]>;

  constructor(db: Database, parts: { volumes: Volumes; containers: Containers; usage: Usage }) {
    this.#volumes = parts.volumes;
    this.#containers = parts.containers;
    this.#usage = parts.usage;
    this.#copies = db
      .prepare<[string, number, number, number], StoredCopy>(
        `SELECT o.id, o.size, o.mtime_ns AS mtimeNs, o.sha256, o.filesystem, p.offset, p.length, ${isPresent} AS present,
           (SELECT u.ended_at FROM old_versions u WHERE u.object = o.n) AS endedAt, ${isElsewhere('?')} AS elsewhere
         ${ofContainer} AND p.offset > ${integer} ORDER BY p.offset LIMIT ?`,
      )
      .safeIntegers();
    this.#object = db.prepare(`SELECT o.n, ${isNeeded} AS needed FROM objects o WHERE o.id = ?`);
    this.#add = db.prepare('INSERT INTO copies (object, container, offset, length) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING');
    this.#moved = db.prepare(`SELECT p.object, p.length, ${isNeeded} AS needed ${ofContainer} AND ${isElsewhere("'[]'")} LIMIT ?`);
    this.#movedOne = db.prepare(`SELECT p.object, p.length, ${isNeeded} AS needed ${ofContainer} AND o.id = ? AND ${isElsewhere("'[]'")}`);
    this.#drop = db.prepare('DELETE FROM copies WHERE object = ? AND container = ?');
    this.#expired = db
      .prepare<[Buffer, number], number>(`SELECT o.n FROM objects o JOIN old_versions u ON u.object = o.n WHERE o.id = ? AND u.ended_at <= ? AND NOT ${isPresent}`)
      .pluck();
    this.#copyOf = db.prepare<[number, number], number>('SELECT 1 FROM copies WHERE object = ? AND container = ?').pluck();
    this.#hasCopy = db.prepare<[number], number>('SELECT 1 FROM copies WHERE object = ? LIMIT 1').pluck();
    this.#forgetVersion = db.prepare('DELETE FROM old_versions WHERE object = ?');
    this.#forgetObject = db.prepare('DELETE FROM objects WHERE n = ?');
    this.#forgetCopies = db.prepare('DELETE FROM copies WHERE container IN (SELECT id FROM containers WHERE volume = ?)');
    this.#voidContainers = db.prepare(`UPDATE containers SET state = 'void' WHERE volume = ? AND state <> 'void'`);
  }

  /** In tape order, behind `after`. An old version whose file ended at `endedBefore` or earlier has expired; a copy on a volume of `leaving` is none elsewhere. */
  copies(container: number, after: number, limit: number, { endedBefore, leaving }: { readonly endedBefore: number; readonly leaving: readonly string[] }): CopyToKeep[] {
    return this.#copies.all(JSON.stringify(leaving), container, after, limit).map(({ id, size, mtimeNs, sha256, filesystem, offset, length, present, endedAt, elsewhere }) => ({
      object: id,
      size: Number(size),
      mtimeNs,
      sha256,
      filesystem: Number(filesystem),
      offset: Number(offset),
      length: Number(length),
      // An object that no row explains is kept.
      isExpired: present === 0n && endedAt !== null && Number(endedAt) <= endedBefore,
      isElsewhere: elsewhere === 1n,
    }));
  }

  /** One transaction's worth. `BAD_CONTAINER` unless the container was read back and found right: its copies may be the only ones soon. */
  add(container: number, copies: readonly NewCopy[]): void {
    const { verified, volume, number } = this.#containers.needReadable(container);
    if (!verified) throw new HsmError('BAD_CONTAINER', `container ${number} of volume ${volume} was not read back: it cannot take over copies`);
    const usage: UsageChanges = new Map();
    for (const { object, offset, length } of copies) {
      const known = this.#object.get(object);
      if (known === undefined) throw new HsmError('BAD_OBJECT', `object ${object.toString('hex')} has gone`);
      const { changes } = this.#add.run(known.n, container, offset, length);
      if (changes > 0) note(usage, container, known.needed === 1 ? length : 0, 1);
    }
    this.#usage.apply(usage);
  }

  /** Drops up to `limit` of the container's copies, or those of `objects`, where these have a good copy elsewhere in the pool. Returns how many. */
  dropMoved(container: number, limit: number, objects?: readonly Buffer[]): number {
    const usage: UsageChanges = new Map();
    const moved = objects === undefined ? this.#moved.all(container, limit) : objects.flatMap((id) => this.#movedOne.all(container, id));
    for (const { object, length, needed } of moved) {
      this.#drop.run(object, container);
      note(usage, container, needed === 1 ? -length : 0, -1);
    }
    this.#usage.apply(usage);
    return moved.length;
  }

  /** Drops the container's copies of those of `objects` that have expired; an object without a copy is forgotten. Returns how many copies went. */
  dropExpired(container: number, objects: readonly Buffer[], endedBefore: number): number {
    const usage: UsageChanges = new Map();
    let dropped = 0;
    for (const id of objects) {
      const n = this.#expired.get(id, endedBefore);
      if (n === undefined || this.#copyOf.get(n, container) === undefined) continue;
      this.#drop.run(n, container);
      note(usage, container, 0, -1);
      dropped += 1;
      if (this.#hasCopy.get(n) !== undefined) continue;
      this.#forgetVersion.run(n);
      this.#forgetObject.run(n);
    }
    this.#usage.apply(usage);
    return dropped;
  }

  /**
   * The volume becomes scratch, its containers void: what is behind its label may be overwritten. `REFUSED` while a copy is on it. Numbers of
   * containers go on, so that no record can take a later one for an earlier one.
   */
  scratch(barcode: string, firstBlock: number): void {
    const row = this.#volumes.need(barcode);
    if (row.objects > 0) throw refusal(`volume ${barcode} holds ${row.objects} objects: it does not become scratch`);
    // Those of containers that were void before; they count for nothing.
    this.#forgetCopies.run(row.id);
    this.#voidContainers.run(row.id);
    this.#volumes.set(barcode, { state: 'scratch', reason: null, used: 0, endBlock: firstBlock });
  }
}
