/** Volumes and containers as the tapes have them. */
import type { Statement } from 'better-sqlite3';
import type { Database } from '../database.ts';
import type { ContainerState, VolumeState } from '../model.ts';
import type { Versions } from './versions.ts';

export interface VolumeOnTape {
  readonly barcode: string;
  readonly pool: string | null;
  readonly state: VolumeState;
  readonly reason: string | null;
  readonly capacity: number;
  readonly used: number;
  readonly endBlock: number;
  /** Of its label; null: it has none, or nobody looked. */
  readonly serial: string | null;
}

/** A file in a container. */
export interface FoundMember {
  readonly object: Buffer;
  readonly size: number;
  readonly mtimeNs: bigint;
  /** Null where only the headers told of it and it is large: then another copy of it, or another index, must know. */
  readonly sha256: Buffer | null;
  readonly offset: number;
  readonly length: number;
  /** Relative to the filesystem's root. */
  readonly path: Buffer;
  /** Of the inode that it was read from, `u32 LE type` first; null where tape does not say. */
  readonly handle: Buffer | null;
}

export interface FoundContainer {
  readonly barcode: string;
  readonly startBlock: number;
  readonly bytes: number;
  readonly state: Exclude<ContainerState, 'writing'>;
  /** Row id; null where tape does not say. */
  readonly filesystem: number | null;
  readonly members: readonly FoundMember[];
}

export interface KnownContainer {
  readonly id: number;
  readonly number: number;
  readonly startBlock: number;
  /** Of the member that lies first; null for one without members that count. */
  readonly first: { readonly offset: number; readonly object: Buffer } | null;
}

export class Tapes {
  readonly #versions: Versions;
  readonly #addPool: Statement<[string]>;
  readonly #putVolume: Statement<[string, string | null, VolumeState, string | null, number, number, number, string | null]>;
  readonly #known: Statement<[string], { id: number; number: number; startBlock: number }>;
  readonly #first: Statement<[number], { offset: number; object: Buffer }>;
  readonly #forgetCopies: Statement<[string, number]>;
  readonly #forget: Statement<[string, number]>;
  readonly #add: Statement<[number, number, string, string], number>;
  readonly #beside: Statement<[{ barcode: string }], string>;

  constructor(db: Database, versions: Versions) {
    this.#versions = versions;
    this.#addPool = db.prepare('INSERT INTO pools (name) VALUES (?) ON CONFLICT DO NOTHING');
    this.#putVolume = db.prepare(
      `INSERT INTO volumes (barcode, pool, state, reason, capacity, used, end_block, serial) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (barcode) DO UPDATE SET pool = excluded.pool, state = excluded.state, reason = excluded.reason, capacity = excluded.capacity,
       used = excluded.used, end_block = excluded.end_block, serial = excluded.serial`,
    );
    this.#known = db.prepare(
      `SELECT c.id, c.number, c.start_block AS startBlock FROM containers c JOIN volumes v ON v.id = c.volume
       WHERE v.barcode = ? AND c.state IN ('closed', 'truncated') ORDER BY c.start_block`,
    );
    this.#first = db.prepare(
      'SELECT p.offset, o.id AS object FROM copies p JOIN objects o ON o.n = p.object WHERE p.container = ? ORDER BY p.offset LIMIT 1',
    );
    const ofVolume = `SELECT c.id FROM containers c JOIN volumes v ON v.id = c.volume WHERE v.barcode = ? AND c.start_block >= ?`;
    this.#forgetCopies = db.prepare(`DELETE FROM copies WHERE container IN (${ofVolume})`);
    this.#forget = db.prepare(`DELETE FROM containers WHERE id IN (${ofVolume})`);
    this.#add = db
      .prepare<[number, number, string, string], number>(
        `INSERT INTO containers (volume, number, start_block, bytes, state)
         SELECT v.id, 1 + coalesce((SELECT max(c.number) FROM containers c WHERE c.volume = v.id), 0), ?, ?, ? FROM volumes v WHERE v.barcode = ? RETURNING id`,
      )
      .pluck();
    this.#beside = db
      .prepare<[{ barcode: string }], string>(
        `SELECT DISTINCT v.pool FROM copies p JOIN containers c ON c.id = p.container JOIN volumes v ON v.id = c.volume
         WHERE v.pool IS NOT NULL AND v.barcode <> @barcode AND p.object = (
           SELECT q.object FROM volumes w JOIN containers d ON d.volume = w.id JOIN copies q ON q.container = d.id WHERE w.barcode = @barcode LIMIT 1)`,
      )
      .pluck();
  }

  /** A new row, or the one of this barcode as it is now; no table of moves is asked. */
  putVolume({ barcode, pool, state, reason, capacity, used, endBlock, serial }: VolumeOnTape): void {
    if (pool !== null) this.#addPool.run(pool);
    this.#putVolume.run(barcode, pool, state, reason, capacity, used, endBlock, serial);
  }

  /** Containers of the dump that should be on the volume, in tape order. */
  known(barcode: string): KnownContainer[] {
    return this.#known.all(barcode).map((container) => ({ ...container, first: this.#first.get(container.id) ?? null }));
  }

  /** What begins at `startBlock` or behind it is not on the volume any more. Objects without a copy are left behind. */
  forget(barcode: string, startBlock: number): void {
    this.#forgetCopies.run(barcode, startBlock);
    this.#forget.run(barcode, startBlock);
  }

  /** Its volume must be there. Void ones hold no members. */
  add({ barcode, startBlock, bytes, state, filesystem, members }: FoundContainer): void {
    const id = this.#add.get(startBlock, bytes, state, barcode);
    if (id === undefined) throw new Error(`volume ${barcode} is not in the catalogue`);
    for (const member of members) this.#versions.add(id, filesystem, member);
  }

  /** Pools of the volumes that hold what this volume holds too, as far as one object of it tells. */
  poolsBeside(barcode: string): string[] {
    return this.#beside.all({ barcode });
  }
}
