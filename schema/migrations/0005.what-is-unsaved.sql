-- depends: 0004.workspaces
-- From which event on a session's place may hold what no snapshot has, and who is about to delete an object.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- `dirty_seq`: the first event of the session that may stand for an unsaved change. A snapshot whose scan began at that
-- event or later, with no agent at work, holds the change.
ALTER TABLE session_workers ADD COLUMN dirty_seq bigint NOT NULL DEFAULT 0;

-- Whose turn it is now. Few at any time.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX session_workers_syncing ON session_workers (sync_lock_expires_at) WHERE sync_claimed_by IS NOT NULL;

-- Who is about to delete it. Until they have, or are gone, no snapshot that names it is committed.
ALTER TABLE unreferenced_objects ADD COLUMN doomed_by text;

-- Places that were at work before anything was saved.
UPDATE session_workers
SET dirty_since = now(), dirty_seq = session_logs.last_seq, next_sync_at = now()
FROM session_logs
WHERE session_logs.session_id = session_workers.session_id
    AND session_workers.dirty_since IS NULL
    AND EXISTS (
        SELECT 1 FROM runs WHERE runs.session_id = session_workers.session_id AND NOT runs.bound AND runs.attempt > 0
    );
