/** The schema, as the list of migrations that lead to it. A migration that was released is never edited. */

/**
 * Version n is reached by migrations[n - 1]. Where a row costs bytes by the million, it is kept small: files and objects are joined by
 * a number, size and mtime stand in the object alone, and file states are the numbers of `fileStateCodes`.
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE filesystems (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    path TEXT NOT NULL,
    type TEXT NOT NULL
  ) STRICT;

  -- A name is TEXT where it is UTF-8, else BLOB. The root of a filesystem has no parent and an empty name.
  CREATE TABLE directories (
    id INTEGER PRIMARY KEY,
    filesystem INTEGER NOT NULL REFERENCES filesystems (id),
    parent INTEGER REFERENCES directories (id),
    name ANY NOT NULL CHECK (typeof(name) IN ('text', 'blob'))
  ) STRICT;
  CREATE UNIQUE INDEX directories_by_name ON directories (parent, name) WHERE parent IS NOT NULL;
  CREATE UNIQUE INDEX directories_roots ON directories (filesystem) WHERE parent IS NULL;

  CREATE TABLE pools (name TEXT NOT NULL PRIMARY KEY CHECK (name <> '')) STRICT, WITHOUT ROWID;

  -- used and end_block are what the medium said at the last filemark; live and objects follow the copies (usage.ts).
  CREATE TABLE volumes (
    id INTEGER PRIMARY KEY,
    barcode TEXT NOT NULL UNIQUE CHECK (length(barcode) BETWEEN 1 AND 8),
    pool TEXT REFERENCES pools (name),
    state TEXT NOT NULL CHECK (state IN ('scratch', 'writable', 'full', 'readonly', 'suspect', 'failed', 'exported')),
    reason TEXT,
    capacity INTEGER NOT NULL CHECK (capacity >= 0),
    used INTEGER NOT NULL DEFAULT 0 CHECK (used >= 0),
    live INTEGER NOT NULL DEFAULT 0 CHECK (live >= 0),
    objects INTEGER NOT NULL DEFAULT 0 CHECK (objects >= 0),
    end_block INTEGER NOT NULL DEFAULT 0 CHECK (end_block >= 0),
    last_written_at INTEGER
  ) STRICT;

  CREATE TABLE containers (
    id INTEGER PRIMARY KEY,
    volume INTEGER NOT NULL REFERENCES volumes (id),
    number INTEGER NOT NULL CHECK (number > 0),
    start_block INTEGER NOT NULL CHECK (start_block >= 0),
    bytes INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0),
    state TEXT NOT NULL CHECK (state IN ('writing', 'closed', 'truncated', 'void')),
    verified INTEGER NOT NULL DEFAULT 0 CHECK (verified IN (0, 1)),
    live INTEGER NOT NULL DEFAULT 0 CHECK (live >= 0),
    objects INTEGER NOT NULL DEFAULT 0 CHECK (objects >= 0),
    UNIQUE (volume, number)
  ) STRICT;

  -- (filesystem, ino) is the inode it was read from: the object is some file's present version while that file's row names it back.
  CREATE TABLE objects (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL CHECK (length(id) = 16),
    size INTEGER NOT NULL CHECK (size >= 0),
    mtime_ns INTEGER NOT NULL,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    filesystem INTEGER NOT NULL,
    ino INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX objects_by_id ON objects (id);

  CREATE TABLE copies (
    object INTEGER NOT NULL REFERENCES objects (n),
    container INTEGER NOT NULL REFERENCES containers (id),
    offset INTEGER NOT NULL CHECK (offset >= 0),
    length INTEGER NOT NULL CHECK (length >= 0),
    PRIMARY KEY (object, container)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX copies_in_tape_order ON copies (container, offset);

  -- handle_hash is a u32 kept as i32. object and directory carry no foreign key, which would need an index each to delete by:
  -- a trigger and hsm's own check stand in for it.
  CREATE TABLE files (
    filesystem INTEGER NOT NULL REFERENCES filesystems (id),
    ino INTEGER NOT NULL,
    state INTEGER NOT NULL CHECK (state IN (0, 1, 2, 3, 4)),
    ctime_ns INTEGER NOT NULL,
    handle_hash INTEGER NOT NULL,
    object INTEGER NOT NULL,
    directory INTEGER NOT NULL,
    name ANY NOT NULL CHECK (typeof(name) IN ('text', 'blob')),
    PRIMARY KEY (filesystem, ino)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX files_on_the_move ON files (filesystem, state) WHERE state IN (3, 4);
  CREATE TRIGGER objects_in_use BEFORE DELETE ON objects
    WHEN EXISTS (SELECT 1 FROM files WHERE filesystem = old.filesystem AND ino = old.ino AND object = old.n)
    BEGIN SELECT RAISE(ABORT, 'a file needs this object'); END;

  CREATE TABLE file_states (code INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
  INSERT INTO file_states (code, name) VALUES (0, 'archived'), (1, 'stub'), (2, 'resident'), (3, 'archiving'), (4, 'recalling');

  CREATE TABLE file_counts (
    filesystem INTEGER NOT NULL REFERENCES filesystems (id),
    state INTEGER NOT NULL REFERENCES file_states (code),
    files INTEGER NOT NULL CHECK (files >= 0),
    PRIMARY KEY (filesystem, state)
  ) STRICT, WITHOUT ROWID;

  -- Objects that are no file's present version: when that ended, and the name the file had.
  CREATE TABLE old_versions (
    object INTEGER PRIMARY KEY REFERENCES objects (n),
    ended_at INTEGER NOT NULL,
    directory INTEGER NOT NULL REFERENCES directories (id),
    name ANY NOT NULL CHECK (typeof(name) IN ('text', 'blob'))
  ) STRICT;

  CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('archive', 'release', 'recall', 'verify')),
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    uid INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    spec TEXT NOT NULL,
    summary TEXT
  ) STRICT;

  CREATE TABLE recall_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    filesystem INTEGER NOT NULL REFERENCES filesystems (id),
    ino INTEGER NOT NULL,
    path TEXT NOT NULL,
    job INTEGER REFERENCES jobs (id) ON DELETE SET NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'loading', 'locating', 'restoring', 'failed', 'done', 'cancelled')),
    priority INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    reason TEXT
  ) STRICT;
  CREATE INDEX recall_requests_open ON recall_requests (id) WHERE ended_at IS NULL;
  CREATE INDEX recall_requests_by_job ON recall_requests (job) WHERE job IS NOT NULL;

  CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    uid INTEGER,
    data TEXT NOT NULL
  ) STRICT;
  `,
  // Another kind of job: a CHECK can be changed only with its table.
  `
  CREATE TABLE jobs_anew (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('archive', 'release', 'recall', 'verify', 'restore')),
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    uid INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    spec TEXT NOT NULL,
    summary TEXT
  ) STRICT;
  INSERT INTO jobs_anew SELECT * FROM jobs;
  DROP TABLE jobs;
  ALTER TABLE jobs_anew RENAME TO jobs;
  `,
  // Media management: what a volume's label says beside its barcode, the state that an exported one comes back with, when a container was verified.
  `
  ALTER TABLE volumes ADD COLUMN serial TEXT;
  ALTER TABLE volumes ADD COLUMN state_before TEXT;
  ALTER TABLE containers ADD COLUMN verified_at INTEGER;
  CREATE TABLE jobs_anew (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('archive', 'release', 'recall', 'verify', 'restore', 'reclaim', 'reconcile', 'undelete')),
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    uid INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    spec TEXT NOT NULL,
    summary TEXT
  ) STRICT;
  INSERT INTO jobs_anew SELECT * FROM jobs;
  DROP TABLE jobs;
  ALTER TABLE jobs_anew RENAME TO jobs;
  `,
  // Old versions are looked for by the name that the file had.
  `CREATE INDEX old_versions_by_name ON old_versions (directory, name);`,
  // What drives (by serial, else by name), volumes and cleaning cartridges have been through, and what a drive last told of them (JSON). Cartridges are
  // no references: these counts outlive the volume's row.
  `
  CREATE TABLE media_use (
    kind TEXT NOT NULL CHECK (kind IN ('drive', 'volume', 'cleaning')),
    name TEXT NOT NULL CHECK (name <> ''),
    mounts INTEGER NOT NULL DEFAULT 0 CHECK (mounts >= 0),
    bytes_read INTEGER NOT NULL DEFAULT 0 CHECK (bytes_read >= 0),
    bytes_written INTEGER NOT NULL DEFAULT 0 CHECK (bytes_written >= 0),
    load_errors INTEGER NOT NULL DEFAULT 0 CHECK (load_errors >= 0),
    read_errors INTEGER NOT NULL DEFAULT 0 CHECK (read_errors >= 0),
    write_errors INTEGER NOT NULL DEFAULT 0 CHECK (write_errors >= 0),
    soft_read_errors INTEGER NOT NULL DEFAULT 0 CHECK (soft_read_errors >= 0),
    soft_write_errors INTEGER NOT NULL DEFAULT 0 CHECK (soft_write_errors >= 0),
    motion_ms INTEGER NOT NULL DEFAULT 0 CHECK (motion_ms >= 0),
    first_used_at INTEGER,
    last_used_at INTEGER,
    report TEXT,
    reported_at INTEGER,
    PRIMARY KEY (kind, name)
  ) STRICT, WITHOUT ROWID;
  `,
];
