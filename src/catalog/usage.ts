/** What containers and volumes hold, counted as copies come and files change, so that nobody ever scans for it. */
import type { Statement } from 'better-sqlite3';
import type { Database } from './database.ts';

export interface UsageChange {
  /** Bytes of copies that a file needs. */
  live: number;
  /** Copies. */
  objects: number;
}

/** By container id. */
export type UsageChanges = Map<number, UsageChange>;

export class Usage {
  readonly #container: Statement<[number, number, number], number>;
  readonly #volume: Statement<[number, number, number]>;
  readonly #copies: Statement<[number], { container: number; length: number }>;

  constructor(db: Database) {
    this.#container = db
      .prepare<[number, number, number], number>(
        `UPDATE containers SET live = live + ?, objects = objects + ? WHERE id = ? AND state <> 'void' RETURNING volume`,
      )
      .pluck();
    this.#volume = db.prepare('UPDATE volumes SET live = live + ?, objects = objects + ? WHERE id = ?');
    this.#copies = db.prepare('SELECT container, length FROM copies WHERE object = ?');
  }

  /** All copies of object `n` become live (+1) or dead (-1). */
  turn(changes: UsageChanges, n: number, sign: 1 | -1): void {
    for (const { container, length } of this.#copies.all(n)) note(changes, container, sign * length, 0);
  }

  /** Within the transaction that made the changes. Void containers count for nothing. */
  apply(changes: UsageChanges): void {
    for (const [container, { live, objects }] of changes) {
      if (live === 0 && objects === 0) continue;
      const volume = this.#container.get(live, objects, container);
      if (volume !== undefined) this.#volume.run(live, objects, volume);
    }
  }
}

export function note(changes: UsageChanges, container: number, live: number, objects: number): void {
  const change = changes.get(container);
  if (change === undefined) {
    changes.set(container, { live, objects });
    return;
  }
  change.live += live;
  change.objects += objects;
}
