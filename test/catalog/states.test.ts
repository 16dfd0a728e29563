import { readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import Database from 'better-sqlite3';
import { containerMoves, fileMoves, jobMoves, requestMoves, volumeMoves, type FileState } from '../../src/catalog/model.ts';
import { fileState, fileStateCodes, move, needsObject } from '../../src/catalog/states.ts';
import { temporaryCatalog } from '../fixtures/catalogue.ts';

type Moves = Readonly<Record<string, readonly string[]>>;

const machines: readonly (readonly [noun: string, table: string, moves: Moves])[] = [
  ['file', 'files', fileMoves],
  ['volume', 'volumes', volumeMoves],
  ['container', 'containers', containerMoves],
  ['job', 'jobs', jobMoves],
  ['request', 'recall_requests', requestMoves],
];

const documented = readFileSync(new URL('../../docs/states.md', import.meta.url), 'utf8');

/** The rows of the table headed `| NOUN from | to | cause |`. */
function documentedMoves(noun: string): string[] {
  const lines = documented.split('\n');
  const head = lines.indexOf(`| ${noun} from | to | cause |`);
  if (head < 0) return [];
  const end = lines.indexOf('', head);
  return lines.slice(head + 2, end).map((line) => line.split('|').slice(1, 3).map((cell) => cell.trim()).join(' -> '));
}

const documentsEveryMove = test.macro({
  exec(t: ExecutionContext, noun: string, _table: string, moves: Moves) {
    const coded = Object.entries(moves).flatMap(([from, tos]) => tos.map((to) => `${from} -> ${to}`));
    t.deepEqual(documentedMoves(noun).toSorted(), coded.toSorted());
  },
  title: (_, noun) => `docs/states.md lists exactly the moves of a ${noun}`,
});

const constrainsStates = test.macro({
  exec(t: ExecutionContext, noun: string, table: string, moves: Moves) {
    const { path } = temporaryCatalog(t);
    const db = new Database(path, { readonly: true });
    const sql = db.prepare<[string], string>('SELECT sql FROM sqlite_schema WHERE name = ?').pluck().get(table) ?? '';
    db.close();
    const list = /\bstate (?:TEXT|INTEGER) NOT NULL CHECK \(state IN \(([^)]*)\)\)/.exec(sql)?.[1] ?? '';
    const values = list.split(', ').map((value) => value.replaceAll(`'`, ''));
    const coded = noun === 'file' ? Object.values(fileStateCodes).map(String) : Object.keys(moves);
    t.deepEqual(values.toSorted(), coded.toSorted());
  },
  title: (_, noun) => `the database allows exactly the states of a ${noun}`,
});

for (const machine of machines) {
  test(documentsEveryMove, ...machine);
  test(constrainsStates, ...machine);
}

test('no table moves to a state that it does not have', (t) => {
  for (const [, , moves] of machines) for (const to of Object.values(moves).flat()) t.true(to in moves);
});

test('file states have the numbers that docs/states.md and the database name', (t) => {
  const { path } = temporaryCatalog(t);
  const db = new Database(path, { readonly: true });
  const stored = db.prepare<[], { code: number; name: string }>('SELECT code, name FROM file_states').all();
  db.close();
  t.deepEqual(Object.fromEntries(stored.map(({ code, name }) => [name, code])), fileStateCodes);
  for (const [state, code] of Object.entries(fileStateCodes)) {
    t.is(fileState(code), state as FileState);
    t.true(documented.includes(`| ${state} | ${code} |`), state);
  }
  t.throws(() => fileState(9), { code: 'CATALOG_DAMAGED' });
});

test('the index of files on the move covers archiving and recalling', (t) => {
  const { path } = temporaryCatalog(t);
  const db = new Database(path, { readonly: true });
  const sql = db.prepare<[], string>(`SELECT sql FROM sqlite_schema WHERE name = 'files_on_the_move'`).pluck().get() ?? '';
  db.close();
  t.true(sql.includes(`state IN (${fileStateCodes.archiving}, ${fileStateCodes.recalling})`), sql);
});

test('exactly the states without all their data on disk, or with the same on tape, need their object', (t) => {
  const states = Object.keys(fileMoves) as FileState[];
  t.deepEqual(states.filter(needsObject), ['archived', 'stub', 'recalling']);
});

test('move gives the new state, or BAD_MOVE with a line that names both', (t) => {
  t.is(move(fileMoves, 'archived', 'stub', 'x'), 'stub');
  t.throws(() => move(fileMoves, 'resident', 'stub', 'inode 5'), { code: 'BAD_MOVE', message: 'inode 5 cannot go from resident to stub' });
});
