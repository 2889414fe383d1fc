-- What the owner has given a session in place of the settings; NULL: as the settings have it.

CREATE TABLE session_limits (
    session_id           TEXT    PRIMARY KEY REFERENCES sessions (id),
    memory_mb            INTEGER CHECK (memory_mb >= 16),
    pids                 INTEGER CHECK (pids >= 32),
    cores                REAL    CHECK (cores > 0),
    quota_mb             INTEGER CHECK (quota_mb >= 1),
    files                INTEGER CHECK (files BETWEEN 1 AND 250000),
    max_concurrent_tasks INTEGER CHECK (max_concurrent_tasks BETWEEN 1 AND 1000),
    queue_bound          INTEGER CHECK (queue_bound BETWEEN 1 AND 1000000)
) STRICT;
