-- A session knows its events, and a task its connections, by numbers of their own: the ids, which all share, would tell
-- one session how much the others do.

ALTER TABLE events ADD COLUMN number INTEGER CHECK (number >= 1);

UPDATE events SET number = numbered.number
FROM (SELECT id, row_number() OVER (PARTITION BY session_id ORDER BY id) AS number FROM events) AS numbered
WHERE events.id = numbered.id AND session_id IS NOT NULL;

DROP INDEX events_of_session;
CREATE UNIQUE INDEX events_of_session ON events (session_id, number);

ALTER TABLE connections ADD COLUMN number INTEGER NOT NULL DEFAULT 1 CHECK (number >= 1);

UPDATE connections SET number = numbered.number
FROM (SELECT id, row_number() OVER (PARTITION BY task_id ORDER BY id) AS number FROM connections) AS numbered
WHERE connections.id = numbered.id;

DROP INDEX connections_of_task;
CREATE UNIQUE INDEX connections_of_task ON connections (task_id, number);
