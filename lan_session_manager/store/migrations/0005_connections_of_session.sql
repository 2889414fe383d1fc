-- So that the oldest rows of one session can go without those of the others.
CREATE INDEX connections_of_session ON connections (session_id, id);
