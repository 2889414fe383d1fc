-- The head of each session's queue without a look at what waits behind it.

CREATE INDEX tasks_ready ON tasks (session_id, priority DESC, seq, runner, start_after)
    WHERE state = 'queued' AND open_dependencies = 0 AND session_id IS NOT NULL;

CREATE INDEX tasks_later ON tasks (start_after) WHERE state = 'queued' AND start_after IS NOT NULL;
