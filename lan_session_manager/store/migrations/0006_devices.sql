-- Who opens a session: devices, which prove themselves by a secret, and addresses, each of which names one session now.

-- A session may be opened from any address, and two sessions may have been seen last at one.
DROP INDEX session_of_address;
CREATE INDEX sessions_by_address ON sessions (address);

CREATE TABLE devices (
    id              TEXT PRIMARY KEY CHECK (length(id) = 32),
    session_id      TEXT NOT NULL REFERENCES sessions (id),
    home_session_id TEXT NOT NULL REFERENCES sessions (id),
    kind            TEXT NOT NULL CHECK (kind IN ('browser', 'program')),
    name            TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 40),
    token_hash      TEXT NOT NULL UNIQUE CHECK (length(token_hash) = 64),
    address         TEXT NOT NULL CHECK (length(address) BETWEEN 2 AND 64),
    mac             TEXT CHECK (length(mac) BETWEEN 1 AND 64),
    created_at      REAL NOT NULL,
    last_seen       REAL NOT NULL
) STRICT;

CREATE INDEX devices_of_session ON devices (session_id, last_seen);

-- `device_id`: the first device that has proven itself at the address since it names the session; NULL: none has.
-- `is_shared`: devices of several sessions have proven themselves there, so that the address names nobody any more.
CREATE TABLE bindings (
    address    TEXT    PRIMARY KEY CHECK (length(address) BETWEEN 2 AND 64),
    session_id TEXT    NOT NULL REFERENCES sessions (id),
    device_id  TEXT    REFERENCES devices (id) ON DELETE SET NULL,
    mac        TEXT    CHECK (length(mac) BETWEEN 1 AND 64),
    is_shared  INTEGER NOT NULL DEFAULT 0 CHECK (is_shared IN (0, 1)),
    seen_at    REAL    NOT NULL
) STRICT;

CREATE INDEX bindings_of_session ON bindings (session_id, seen_at);
CREATE INDEX bindings_of_mac ON bindings (mac) WHERE mac IS NOT NULL;
CREATE INDEX bindings_of_device ON bindings (device_id) WHERE device_id IS NOT NULL;

INSERT INTO bindings (address, session_id, seen_at)
SELECT address, id, last_activity FROM sessions WHERE state <> 'ended';
