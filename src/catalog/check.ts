/** Is the catalogue whole: SQLite's own checks, then what hsm promises on top of them. */
import type { Database } from './database.ts';
import { fileStateCodes, needsObject } from './states.ts';
import type { FileState } from './model.ts';

/** A line for everything that is wrong; empty when all is well. Reads everything: seconds for a million files. */
export function check(db: Database): string[] {
  const structure = db
    .prepare<[], string>('PRAGMA integrity_check')
    .pluck()
    .all()
    .filter((line) => line !== 'ok');
  if (structure.length > 0) return structure;
  const references = db.pragma('foreign_key_check') as { table: string; rowid: number | null; parent: string }[];
  return [
    ...references.map(({ table, rowid, parent }) => `${table}: row ${rowid ?? '?'} names a row that ${parent} does not have`),
    ...promises.flatMap(([problem, sql]) =>
      db
        .prepare<[], string | number>(sql)
        .pluck()
        .all()
        .map((which) => `${problem}: ${which}`),
    ),
  ];
}

const codes = (Object.keys(fileStateCodes) as FileState[]).filter(needsObject).map((state) => fileStateCodes[state]);

/** The present version of some file that needs it. */
const needed = `f.filesystem = o.filesystem AND f.ino = o.ino AND f.object = o.n AND f.state IN (${codes.join(', ')})`;

const holding = `
  SELECT p.container, count(*) AS objects, sum(iif(f.ino IS NULL, 0, p.length)) AS live
  FROM copies p JOIN objects o ON o.n = p.object LEFT JOIN files f ON ${needed} GROUP BY p.container`;

/** Each query gives what is wrong, at most 20 of a kind. */
const promises: readonly (readonly [problem: string, sql: string])[] = [
  [
    'file whose object does not name it back (filesystem/inode)',
    `SELECT f.filesystem || '/' || f.ino FROM files f
     WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.n = f.object AND o.filesystem = f.filesystem AND o.ino = f.ino) LIMIT 20`,
  ],
  [
    'file in a directory that is not there (filesystem/inode)',
    `SELECT f.filesystem || '/' || f.ino FROM files f WHERE NOT EXISTS (SELECT 1 FROM directories d WHERE d.id = f.directory) LIMIT 20`,
  ],
  [
    'container whose counts are wrong (id)',
    `SELECT c.id FROM containers c LEFT JOIN (${holding}) h ON h.container = c.id
     WHERE c.objects <> iif(c.state = 'void', 0, coalesce(h.objects, 0)) OR c.live <> iif(c.state = 'void', 0, coalesce(h.live, 0)) LIMIT 20`,
  ],
  [
    'volume whose counts are wrong (barcode)',
    `SELECT v.barcode FROM volumes v LEFT JOIN (SELECT volume, sum(objects) AS objects, sum(live) AS live FROM containers GROUP BY volume) c
     ON c.volume = v.id WHERE v.objects <> coalesce(c.objects, 0) OR v.live <> coalesce(c.live, 0) LIMIT 20`,
  ],
  [
    'filesystem whose count of files in a state is wrong (filesystem/state)',
    `SELECT s.filesystem || '/' || s.state FROM (
       SELECT filesystem, state FROM file_counts UNION SELECT DISTINCT filesystem, state FROM files
     ) s LEFT JOIN file_counts k USING (filesystem, state)
     LEFT JOIN (SELECT filesystem, state, count(*) AS files FROM files GROUP BY filesystem, state) f USING (filesystem, state)
     WHERE coalesce(k.files, 0) <> coalesce(f.files, 0) LIMIT 20`,
  ],
];
