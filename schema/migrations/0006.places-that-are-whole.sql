-- depends: 0005.what-is-unsaved
-- Places from before there were restores hold what their sessions made there: they are whole, and nothing may ever be
-- restored over them.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

UPDATE session_workers SET restored_at = status_since WHERE restored_at IS NULL AND status <> 'absent';
