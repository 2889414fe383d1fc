-- The network of a task: the profile that it has, which profiles a session may use, and every connection that was tried.

ALTER TABLE tasks ADD COLUMN network TEXT NOT NULL DEFAULT 'none' CHECK (length(network) BETWEEN 1 AND 32);

-- A JSON array of names; NULL: as the settings have it.
ALTER TABLE session_limits ADD COLUMN networks TEXT CHECK (networks IS NULL OR json_valid(networks));

-- Rows outlive their task: who deletes the task does not delete what it did. Names of verdicts are those of states.py.
CREATE TABLE connections (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    key            TEXT    NOT NULL UNIQUE CHECK (length(key) BETWEEN 1 AND 320),
    task_id        TEXT    NOT NULL,
    session_id     TEXT,
    host           TEXT    NOT NULL CHECK (length(host) <= 255),
    port           INTEGER NOT NULL CHECK (port BETWEEN 0 AND 65535),
    address        TEXT    NOT NULL CHECK (length(address) <= 64),
    verdict        TEXT    NOT NULL CHECK (verdict IN (
                       'allowed', 'not_listed', 'blocked_address', 'no_address', 'unreachable', 'bad_request', 'too_slow',
                       'stopped', 'more')),
    bytes_sent     INTEGER NOT NULL CHECK (bytes_sent >= 0),
    bytes_received INTEGER NOT NULL CHECK (bytes_received >= 0),
    started_at     REAL    NOT NULL,
    ended_at       REAL,
    more           INTEGER NOT NULL DEFAULT 0 CHECK (more >= 0)
) STRICT;

CREATE INDEX connections_of_task ON connections (task_id, id);
CREATE INDEX connections_open ON connections (id) WHERE ended_at IS NULL;
