-- Which worker outside has claimed a task. `token_hash`: the SHA-256 of the lease's secret. The row stays when the task
-- ends, so that a worker that got no answer may say once more how it ended; it goes when the task waits again.
CREATE TABLE worker_leases (
    task_id    TEXT PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    token_hash TEXT NOT NULL CHECK (length(token_hash) = 64),
    expires_at REAL NOT NULL,
    is_used    INTEGER NOT NULL DEFAULT 0 CHECK (is_used IN (0, 1)),
    stop_by    REAL
) WITHOUT ROWID, STRICT;

CREATE INDEX worker_leases_by_expiry ON worker_leases (expires_at);

-- The name of the worker that had the task last, and how often one claimed it and was never heard of again.
ALTER TABLE tasks ADD COLUMN worker TEXT CHECK (length(worker) BETWEEN 1 AND 100);
ALTER TABLE tasks ADD COLUMN silent_claims INTEGER NOT NULL DEFAULT 0 CHECK (silent_claims >= 0);
