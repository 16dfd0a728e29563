import type { Statement } from 'better-sqlite3';
import { HsmError, refusal } from '../errors.ts';
import type { Database } from './database.ts';
import { volumeMoves, type VolumeRow, type VolumeState, type VolumeUsage } from './model.ts';
import { move } from './states.ts';

export interface VolumeChange {
  readonly state?: VolumeState;
  readonly reason?: string | null;
  readonly pool?: string;
  readonly used?: number;
  readonly endBlock?: number;
  readonly serial?: string;
}

const columns = `id, barcode, pool, state, reason, capacity, used, live, objects, end_block AS endBlock, last_written_at AS lastWrittenAt, serial`;

export class Volumes {
  readonly #addPool: Statement<[string]>;
  readonly #add: Statement<[string, string | null, number]>;
  readonly #all: Statement<[], VolumeRow>;
  readonly #usage: Statement<[], VolumeUsage>;
  readonly #byBarcode: Statement<[string], VolumeRow>;
  readonly #update: Statement<[VolumeState, string | null, string | null, number, number, string | null, number]>;
  readonly #setBefore: Statement<[VolumeState | null, number]>;
  readonly #before: Statement<[number], VolumeState | null>;
  readonly #remove: readonly Statement<[number]>[];
  readonly #written: Statement<[number, number, number | null, number]>;

  constructor(db: Database) {
    this.#addPool = db.prepare('INSERT INTO pools (name) VALUES (?) ON CONFLICT DO NOTHING');
    this.#add = db.prepare(`INSERT INTO volumes (barcode, pool, state, capacity) VALUES (?, ?, 'scratch', ?) ON CONFLICT DO NOTHING`);
    this.#all = db.prepare(`SELECT ${columns} FROM volumes ORDER BY barcode`);
    this.#usage = db.prepare(
      `SELECT v.barcode, v.pool, v.state, v.reason, v.capacity, v.used, v.live, v.objects,
         (SELECT iif(count(c.verified_at) < count(*), NULL, min(c.verified_at)) FROM containers c
          WHERE c.volume = v.id AND c.objects > 0 AND c.state IN ('closed', 'truncated')) AS verifiedAt
       FROM volumes v ORDER BY v.barcode`,
    );
    this.#byBarcode = db.prepare(`SELECT ${columns} FROM volumes WHERE barcode = ?`);
    this.#update = db.prepare('UPDATE volumes SET state = ?, reason = ?, pool = ?, used = ?, end_block = ?, serial = ? WHERE id = ?');
    this.#setBefore = db.prepare('UPDATE volumes SET state_before = ? WHERE id = ?');
    this.#before = db.prepare<[number], VolumeState | null>('SELECT state_before FROM volumes WHERE id = ?').pluck();
    this.#remove = [
      'DELETE FROM copies WHERE container IN (SELECT id FROM containers WHERE volume = ?)',
      'DELETE FROM containers WHERE volume = ?',
      'DELETE FROM volumes WHERE id = ?',
    ].map((sql) => db.prepare(sql));
    this.#written = db.prepare('UPDATE volumes SET used = ?, end_block = ?, last_written_at = coalesce(?, last_written_at) WHERE id = ?');
  }

  /** A scratch volume. Fails with EEXIST for a barcode that is known, EINVAL for one that a stub record cannot hold. */
  add(volume: { readonly barcode: string; readonly pool: string | null; readonly capacity: number }): VolumeRow {
    if (!/^[\x21-\x7e]{1,8}$/.test(volume.barcode)) {
      throw new HsmError('EINVAL', `barcode '${volume.barcode}' must be 1 to 8 printable ASCII characters`);
    }
    if (volume.pool !== null) this.#addPool.run(volume.pool);
    const { changes } = this.#add.run(volume.barcode, volume.pool, volume.capacity);
    if (changes === 0) throw new HsmError('EEXIST', `volume ${volume.barcode} is in the catalogue already`);
    return this.need(volume.barcode);
  }

  all(): VolumeRow[] {
    return this.#all.all();
  }

  usage(): VolumeUsage[] {
    return this.#usage.all();
  }

  get(barcode: string): VolumeRow | undefined {
    return this.#byBarcode.get(barcode);
  }

  /** Fails with NO_VOLUME. */
  need(barcode: string): VolumeRow {
    const row = this.#byBarcode.get(barcode);
    if (row === undefined) throw new HsmError('NO_VOLUME', `volume ${barcode} is not in the catalogue: add it with 'hsm tape add'`);
    return row;
  }

  /** A new state without a reason drops the old one's. The state it has already is no move. */
  set(barcode: string, change: VolumeChange): void {
    const row = this.need(barcode);
    const state = change.state === undefined || change.state === row.state ? row.state : this.#move(row, change.state);
    const reason = change.reason !== undefined ? change.reason : state === row.state ? row.reason : null;
    if (change.pool !== undefined) this.#addPool.run(change.pool);
    this.#update.run(state, reason, change.pool ?? row.pool, change.used ?? row.used, change.endBlock ?? row.endBlock, change.serial ?? row.serial, row.id);
  }

  /** Outside the library from now on; its state until now is kept for when it comes back. */
  export(barcode: string): void {
    const row = this.need(barcode);
    this.set(barcode, { state: 'exported', reason: row.reason });
    this.#setBefore.run(row.state, row.id);
  }

  /** Back in the library, as it was before. */
  import(barcode: string): void {
    const row = this.need(barcode);
    this.set(barcode, { state: this.#before.get(row.id) ?? 'readonly', reason: row.reason });
    this.#setBefore.run(null, row.id);
  }

  /** `REFUSED` while a copy is on it. */
  remove(barcode: string): void {
    const { id, objects } = this.need(barcode);
    if (objects > 0) throw refusal(`volume ${barcode} holds ${objects} objects: reclaim it first`);
    for (const statement of this.#remove) statement.run(id);
  }

  /** After a filemark that made everything before it durable; `at` is null where nothing of it counts. */
  written(id: number, end: { readonly used: number; readonly endBlock: number; readonly at: number | null }): void {
    this.#written.run(end.used, end.endBlock, end.at, id);
  }

  #move(row: VolumeRow, to: VolumeState): VolumeState {
    if (to === 'scratch' && row.objects > 0) {
      throw refusal(`volume ${row.barcode} holds ${row.objects} objects and cannot become scratch: reclaim it first`);
    }
    return move(volumeMoves, row.state, to, `volume ${row.barcode}`);
  }
}
