/** Everything in the catalogue that is counted or under way, after rows were changed without counting. */
import type { Database } from '../database.ts';
import type { FileState } from '../model.ts';
import { fileStateCodes, needsObject } from '../states.ts';

const needing = (Object.keys(fileStateCodes) as FileState[]).filter(needsObject).map((state) => fileStateCodes[state]);

/** Live bytes and objects of containers and volumes, files by state; and no recall or job is under way any more. */
export function recount(db: Database): void {
  db.transaction(() => {
    db.exec(`
      CREATE TEMP TABLE held (container INTEGER PRIMARY KEY, objects INTEGER NOT NULL, live INTEGER NOT NULL) STRICT;
      INSERT INTO held
        SELECT p.container, count(*), sum(iif(f.ino IS NULL, 0, p.length))
        FROM copies p JOIN objects o ON o.n = p.object
        LEFT JOIN files f ON f.filesystem = o.filesystem AND f.ino = o.ino AND f.object = o.n AND f.state IN (${needing.join(', ')})
        GROUP BY p.container;
      UPDATE containers SET (objects, live) = (0, 0);
      UPDATE containers SET (objects, live) = (SELECT h.objects, h.live FROM held h WHERE h.container = containers.id)
        WHERE state <> 'void' AND id IN (SELECT container FROM held);
      DROP TABLE held;
      UPDATE volumes SET objects = coalesce((SELECT sum(c.objects) FROM containers c WHERE c.volume = volumes.id), 0),
        live = coalesce((SELECT sum(c.live) FROM containers c WHERE c.volume = volumes.id), 0);
      DELETE FROM file_counts;
      INSERT INTO file_counts (filesystem, state, files) SELECT filesystem, state, count(*) FROM files GROUP BY filesystem, state;
      UPDATE recall_requests SET state = 'cancelled', ended_at = created_at, reason = 'the catalogue was rebuilt' WHERE ended_at IS NULL;
      UPDATE jobs SET state = 'cancelled', ended_at = created_at WHERE state IN ('queued', 'running');
    `);
  })();
}
