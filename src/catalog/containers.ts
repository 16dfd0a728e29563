import type { Statement } from 'better-sqlite3';
import { HsmError } from '../errors.ts';
import type { Database } from './database.ts';
import { containerMoves, type ContainerRow, type ContainerState } from './model.ts';
import { move } from './states.ts';
import type { Usage } from './usage.ts';
import type { Volumes } from './volumes.ts';

interface StoredContainer {
  readonly id: number;
  readonly volumeId: number;
  readonly volume: string;
  readonly number: number;
  readonly startBlock: number;
  readonly bytes: number;
  readonly state: ContainerState;
  readonly verified: 0 | 1;
  readonly verifiedAt: number | null;
  readonly live: number;
  readonly objects: number;
}

export interface ContainerEnd {
  readonly state: Exclude<ContainerState, 'writing'>;
  readonly bytes: number;
  readonly endBlock: number;
  readonly used: number;
}

const select = `
  SELECT c.id, c.volume AS volumeId, v.barcode AS volume, c.number, c.start_block AS startBlock, c.bytes, c.state, c.verified, c.verified_at AS verifiedAt, c.live, c.objects
  FROM containers c JOIN volumes v ON v.id = c.volume`;

export class Containers {
  readonly #volumes: Volumes;
  readonly #usage: Usage;
  readonly #now: () => number;
  readonly #add: Statement<[number, number, number], number>;
  readonly #byId: Statement<[number], StoredContainer>;
  readonly #onVolume: Statement<[number], StoredContainer>;
  readonly #close: Statement<[ContainerState, number, number]>;
  readonly #verify: Statement<[number, number]>;

  constructor(db: Database, volumes: Volumes, usage: Usage, now: () => number) {
    this.#volumes = volumes;
    this.#usage = usage;
    this.#now = now;
    this.#add = db
      .prepare<[number, number, number], number>(
        `INSERT INTO containers (volume, number, start_block, state)
         VALUES (?, 1 + coalesce((SELECT max(number) FROM containers WHERE volume = ?), 0), ?, 'writing') RETURNING id`,
      )
      .pluck();
    this.#byId = db.prepare(`${select} WHERE c.id = ?`);
    this.#onVolume = db.prepare(`${select} WHERE c.volume = ? ORDER BY c.number`);
    this.#close = db.prepare('UPDATE containers SET state = ?, bytes = ? WHERE id = ?');
    this.#verify = db.prepare('UPDATE containers SET verified = 1, verified_at = ? WHERE id = ?');
  }

  begin(barcode: string, startBlock: number): ContainerRow {
    const volume = this.#volumes.need(barcode);
    return containerRow(this.#need(this.#add.get(volume.id, volume.id, startBlock) ?? 0));
  }

  /** Closing it again in the same state only corrects the numbers. A container with objects that becomes void takes them off the volume's counts. */
  close(id: number, end: ContainerEnd): void {
    const container = this.#need(id);
    if (container.state !== end.state) move(containerMoves, container.state, end.state, nameOf(container));
    if (end.state === 'void') this.#usage.apply(new Map([[id, { live: -container.live, objects: -container.objects }]]));
    this.#close.run(end.state, end.bytes, id);
    this.#volumes.written(container.volumeId, { used: end.used, endBlock: end.endBlock, at: end.state === 'void' ? null : this.#now() });
  }

  on(barcode: string): ContainerRow[] {
    return this.#onVolume.all(this.#volumes.need(barcode).id).map(containerRow);
  }

  markVerified(ids: readonly number[]): void {
    for (const id of ids) {
      this.needReadable(id);
      this.#verify.run(this.#now(), id);
    }
  }

  /** Fails with ENOENT, or with `BAD_CONTAINER` for one that is not on its volume for good. */
  needReadable(id: number): ContainerRow {
    const container = this.#need(id);
    if (container.state === 'closed' || container.state === 'truncated') return containerRow(container);
    throw new HsmError('BAD_CONTAINER', `${nameOf(container)} is ${container.state}: only one that is closed or truncated can hold copies`);
  }

  #need(id: number): StoredContainer {
    const row = this.#byId.get(id);
    if (row === undefined) throw new HsmError('ENOENT', `the catalogue has no container ${id}`);
    return row;
  }
}

const nameOf = (row: StoredContainer): string => `container ${row.number} of volume ${row.volume}`;

const containerRow = (row: StoredContainer): ContainerRow => ({
  id: row.id,
  volume: row.volume,
  number: row.number,
  startBlock: row.startBlock,
  bytes: row.bytes,
  state: row.state,
  verified: row.verified === 1,
  verifiedAt: row.verifiedAt,
});
