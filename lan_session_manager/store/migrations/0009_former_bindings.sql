-- Which session an address named for a MAC address before another host took the address: who comes back without a
-- secret finds it again. What an address names now, if the MAC is the same one, is in `bindings` alone.
CREATE TABLE former_bindings (
    address    TEXT NOT NULL CHECK (length(address) BETWEEN 2 AND 64),
    mac        TEXT NOT NULL CHECK (length(mac) BETWEEN 1 AND 64),
    session_id TEXT NOT NULL REFERENCES sessions (id),
    device_id  TEXT REFERENCES devices (id) ON DELETE SET NULL,
    seen_at    REAL NOT NULL,
    PRIMARY KEY (address, mac)
) WITHOUT ROWID, STRICT;

CREATE INDEX former_bindings_of_device ON former_bindings (device_id) WHERE device_id IS NOT NULL;
CREATE INDEX former_bindings_of_session ON former_bindings (session_id, seen_at);
