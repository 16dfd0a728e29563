/** How many files of a filesystem are in each state, kept with every move. */
import type { Statement } from 'better-sqlite3';
import type { Database } from './database.ts';
import type { FileState } from './model.ts';
import { fileState, fileStateCodes } from './states.ts';

export class Counts {
  readonly #change: Statement<[number, number, number]>;
  readonly #first: Statement<[number, number, number]>;
  readonly #of: Statement<[number], { state: number; files: number }>;

  constructor(db: Database) {
    this.#change = db.prepare('UPDATE file_counts SET files = files + ? WHERE filesystem = ? AND state = ?');
    this.#first = db.prepare('INSERT INTO file_counts (files, filesystem, state) VALUES (?, ?, ?)');
    this.#of = db.prepare('SELECT state, files FROM file_counts WHERE filesystem = ?');
  }

  of(filesystem: number): Record<FileState, number> {
    const counts: Record<FileState, number> = { resident: 0, archiving: 0, archived: 0, stub: 0, recalling: 0 };
    for (const { state, files } of this.#of.all(filesystem)) counts[fileState(state)] = files;
    return counts;
  }

  apply(filesystem: number, changes: Map<FileState, number>): void {
    for (const [state, change] of changes) {
      if (change === 0) continue;
      const { changes: known } = this.#change.run(change, filesystem, fileStateCodes[state]);
      if (known === 0) this.#first.run(change, filesystem, fileStateCodes[state]);
    }
  }
}

/** `from` or `to` null: the files are new to the catalogue, or leave it. */
export function noteMove(changes: Map<FileState, number>, from: FileState | null, to: FileState | null, files = 1): void {
  if (from !== null) changes.set(from, (changes.get(from) ?? 0) - files);
  if (to !== null) changes.set(to, (changes.get(to) ?? 0) + files);
}
