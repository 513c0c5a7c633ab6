-- depends: 0029.runs-that-wait-for-the-store
-- How many stored objects each session has, and which of them waits longest for being read: so that a pass of the
-- verification looks at few sessions.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- As they were at `looked_at`. `oldest_at` is when the object that waits longest was read or, unread, first named; null
-- when no snapshot names an object.
CREATE TABLE object_looks (
    session_id uuid PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    objects bigint NOT NULL CONSTRAINT object_looks_count_not_negative CHECK (objects >= 0),
    oldest_at timestamptz,
    looked_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX object_looks_oldest ON object_looks (oldest_at);
CREATE INDEX object_looks_looked ON object_looks (looked_at);
