-- depends: 0020.audit-retention
-- A user's shares are counted at each start: queued runs, runs of a minute, idempotency keys of a day.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX runs_of_user_newest ON runs (user_id, created_at DESC);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX runs_queued_of_user ON runs (user_id) WHERE status = 'queued';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idempotency_keys_of_user ON idempotency_keys (user_id, created_at DESC);
-- The first of these serves its queries, too.
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX runs_user;
