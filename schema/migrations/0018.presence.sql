-- depends: 0014.file-audit
-- Which users read which session in which API process now. Unlogged: a process writes its part again after a crash.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

CREATE UNLOGGED TABLE presence_processes (
    id uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

CREATE UNLOGGED TABLE session_readers (
    session_id uuid NOT NULL,
    user_id uuid NOT NULL,
    process_id uuid NOT NULL REFERENCES presence_processes (id) ON DELETE CASCADE,
    PRIMARY KEY (session_id, user_id, process_id)
);
CREATE INDEX session_readers_process ON session_readers (process_id);
