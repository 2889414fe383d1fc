-- Times are Unix times in seconds. Names of states and reasons are those of states.py.

CREATE TABLE sessions (
    id            TEXT    PRIMARY KEY CHECK (length(id) = 32),
    name          TEXT    NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    address       TEXT    NOT NULL CHECK (length(address) BETWEEN 2 AND 64),
    user_slot     INTEGER NOT NULL UNIQUE CHECK (user_slot >= 0),
    state         TEXT    NOT NULL CHECK (state IN ('live', 'expired', 'ended')),
    created_at    REAL    NOT NULL,
    last_activity REAL    NOT NULL,
    next_number   INTEGER NOT NULL DEFAULT 1 CHECK (next_number >= 1),
    total_tasks   INTEGER NOT NULL DEFAULT 0 CHECK (total_tasks >= 0)
) STRICT;

-- An address names one session at a time; sessions that are over keep their rows and their files.
CREATE UNIQUE INDEX session_of_address ON sessions (address) WHERE state <> 'ended';
CREATE INDEX sessions_by_state ON sessions (state, last_activity);

CREATE TABLE tasks (
    seq                 INTEGER PRIMARY KEY AUTOINCREMENT,
    id                  TEXT    NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 300),
    session_id          TEXT    REFERENCES sessions (id),
    number              INTEGER CHECK (number >= 1),
    state               TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'failed', 'cancelled')),
    runner              TEXT    NOT NULL CHECK (length(runner) BETWEEN 1 AND 100),
    source_type         TEXT    NOT NULL CHECK (source_type IN ('USER_TRIGGERED', 'SWARM_AUTO', 'ADMIN_TASK', 'CROSS_USER')),
    description         TEXT    NOT NULL,
    command             TEXT    NOT NULL,
    memory_mb           INTEGER NOT NULL CHECK (memory_mb >= 0),
    time_s              REAL    NOT NULL CHECK (time_s >= 0),
    created_at          REAL    NOT NULL,
    started_at          REAL,
    ended_at            REAL,
    exit_code           INTEGER,
    reason              TEXT    CHECK (reason IN (
                            'exit', 'signal', 'out_of_memory', 'time_limit', 'disk_quota', 'output_limit', 'session_ended',
                            'cancelled_by_user', 'cancelled_by_admin', 'lost', 'start_failed', 'dependency_failed')),
    detail              TEXT    NOT NULL DEFAULT '',
    child_out_of_memory INTEGER NOT NULL DEFAULT 0 CHECK (child_out_of_memory IN (0, 1)),
    isolation           TEXT,
    cpu_s               REAL,
    memory_peak_mb      REAL,
    outputs             TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(outputs)),
    outputs_total       INTEGER NOT NULL DEFAULT 0,
    idempotency_key     TEXT,
    stop_reason         TEXT    CHECK (stop_reason IN ('session_ended', 'cancelled_by_user', 'cancelled_by_admin')),
    CHECK ((state IN ('completed', 'failed', 'cancelled')) = (ended_at IS NOT NULL)),
    CHECK (state <> 'running' OR started_at IS NOT NULL),
    CHECK ((session_id IS NULL) <= (number IS NULL)),
    UNIQUE (session_id, number)
) STRICT;

CREATE UNIQUE INDEX task_of_key ON tasks (session_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX tasks_by_state ON tasks (state, seq);
CREATE INDEX tasks_of_session ON tasks (session_id, seq);
CREATE INDEX tasks_of_session_by_state ON tasks (session_id, state, seq);

-- What is needed to find a started task again after the server has died.
CREATE TABLE leases (
    task_id         TEXT    PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    boot_id         TEXT    NOT NULL,
    monitor_pid     INTEGER NOT NULL,
    monitor_started INTEGER NOT NULL,
    box_pid         INTEGER NOT NULL,
    started_at      REAL    NOT NULL,
    time_limit_at   REAL    NOT NULL
) STRICT;

-- One row for each thing that happened, written in the transaction in which it happened. Ids are never used again.
CREATE TABLE events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         REAL    NOT NULL,
    kind       TEXT    NOT NULL CHECK (length(kind) BETWEEN 1 AND 40),
    session_id TEXT,
    task_id    TEXT,
    data       TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(data))
) STRICT;

CREATE INDEX events_of_session ON events (session_id, id);
