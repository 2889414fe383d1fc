-- Since when an expired session is in the trash: its files go for good some days later, unless its device comes back.
ALTER TABLE sessions ADD COLUMN trashed_at REAL;
