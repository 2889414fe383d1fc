-- What a task may use beside memory and time; NULL: none of its own, or accepted before this was noted.

ALTER TABLE tasks ADD COLUMN cores REAL CHECK (cores > 0);
ALTER TABLE tasks ADD COLUMN pids INTEGER CHECK (pids >= 1);
ALTER TABLE tasks ADD COLUMN open_files INTEGER CHECK (open_files >= 1);
ALTER TABLE tasks ADD COLUMN log_mb INTEGER CHECK (log_mb >= 1);
ALTER TABLE tasks ADD COLUMN disk_mb INTEGER CHECK (disk_mb >= 1);
ALTER TABLE tasks ADD COLUMN files INTEGER CHECK (files >= 1);

-- What the log and the records of an ended task take on the disk, in bytes; NULL: not measured yet.
ALTER TABLE tasks ADD COLUMN kept_bytes INTEGER CHECK (kept_bytes >= 0);
CREATE INDEX kept_logs ON tasks (session_id, seq, kept_bytes) WHERE kept_bytes > 0;

-- What the owner has given: the longest time, the most open files and the largest log of one task of the session, and
-- what the logs of its ended tasks may take together.
ALTER TABLE session_limits ADD COLUMN time_s REAL CHECK (time_s > 0);
ALTER TABLE session_limits ADD COLUMN open_files INTEGER CHECK (open_files >= 64);
ALTER TABLE session_limits ADD COLUMN log_mb INTEGER CHECK (log_mb >= 1);
ALTER TABLE session_limits ADD COLUMN logs_mb INTEGER CHECK (logs_mb >= 1);

-- What the session's files take without what the task is held for, so that its own limit of the disk outlives a restart.
ALTER TABLE leases ADD COLUMN base_bytes INTEGER;
ALTER TABLE leases ADD COLUMN base_files INTEGER;
