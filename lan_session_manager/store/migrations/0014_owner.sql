-- Since when the owner has the session paused: nothing of it is started.
ALTER TABLE sessions ADD COLUMN paused_at REAL;

-- What the owner tells everybody, one row at the most. An id is never given again: pages remember which one they hide.
CREATE TABLE messages (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    text  TEXT    NOT NULL CHECK (length(text) BETWEEN 1 AND 500),
    at    REAL    NOT NULL,
    until REAL
) STRICT;
