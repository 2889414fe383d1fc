-- Who did what, on which object, and whether it was let: rows are only ever added, and only the oldest may go.

-- `number` counts the rows of one verdict, so that what is refused never pushes out what was done.
CREATE TABLE audit (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    number     INTEGER NOT NULL CHECK (number >= 1),
    at         REAL    NOT NULL,
    session_id TEXT    CHECK (length(session_id) <= 2010),
    device_id  TEXT    CHECK (length(device_id) <= 2010),
    address    TEXT    NOT NULL CHECK (length(address) <= 2010),
    role       TEXT    NOT NULL CHECK (length(role) <= 2010),
    operation  TEXT    NOT NULL CHECK (length(operation) <= 2010),
    object     TEXT    NOT NULL CHECK (length(object) <= 2010),
    verdict    TEXT    NOT NULL CHECK (verdict IN ('allowed', 'refused')),
    detail     TEXT    NOT NULL CHECK (length(detail) <= 2010),
    UNIQUE (verdict, number)
) STRICT;

CREATE INDEX audit_of_session ON audit (session_id, id);
CREATE INDEX audit_by_verdict ON audit (verdict, id);

CREATE TRIGGER audit_rows_stay_as_they_are BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

CREATE TRIGGER audit_keeps_its_newest_rows BEFORE DELETE ON audit
WHEN OLD.number > (SELECT max(number) FROM audit WHERE verdict = OLD.verdict) - 100000 BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

-- REPLACE deletes what it replaces, and no trigger of DELETE hears of it.
CREATE TRIGGER audit_rows_are_new BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id OR (verdict = NEW.verdict AND number = NEW.number)) BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
