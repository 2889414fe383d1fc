-- What the order of the queue is made of.

ALTER TABLE tasks ADD COLUMN priority INTEGER NOT NULL DEFAULT 0 CHECK (priority BETWEEN -100 AND 100);
ALTER TABLE tasks ADD COLUMN start_after REAL;
ALTER TABLE tasks ADD COLUMN retries INTEGER NOT NULL DEFAULT 0 CHECK (retries IN (0, 1));
ALTER TABLE tasks ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1 CHECK (attempt >= 1);
ALTER TABLE tasks ADD COLUMN parallel_safe INTEGER NOT NULL DEFAULT 1 CHECK (parallel_safe IN (0, 1));
ALTER TABLE tasks ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(metadata));
ALTER TABLE tasks ADD COLUMN open_dependencies INTEGER NOT NULL DEFAULT 0 CHECK (open_dependencies >= 0);

-- Which tasks a task waits for; `open_dependencies` counts those of them that have not completed yet.
CREATE TABLE dependencies (
    task_id    TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    depends_on TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    PRIMARY KEY (task_id, depends_on)
) WITHOUT ROWID, STRICT;

CREATE INDEX dependents ON dependencies (depends_on, task_id);

-- What each session has used, in seconds of processor time, decayed to the moment `at`.
CREATE TABLE shares (
    session_id TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    used_s     REAL NOT NULL CHECK (used_s >= 0),
    at         REAL NOT NULL
) WITHOUT ROWID, STRICT;

ALTER TABLE session_limits ADD COLUMN weight REAL CHECK (weight BETWEEN 0.1 AND 10);
