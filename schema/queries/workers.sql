-- name: worker
SELECT
    session_id, status, status_since, epoch, host, base_url, last_error, dirty_since, synced_at, sync_failures,
    next_sync_at
FROM session_workers
WHERE session_id = %(session_id)s;

-- name: worker_starting
INSERT INTO session_workers (session_id, status, epoch, host)
VALUES (%(session_id)s, 'starting', %(epoch)s, %(host)s)
ON CONFLICT (session_id) DO UPDATE
SET status = 'starting', status_since = now(), epoch = excluded.epoch, host = excluded.host
WHERE session_workers.epoch <= excluded.epoch AND session_workers.status <> 'active';

-- name: worker_active
UPDATE session_workers
SET status = 'active', status_since = CASE WHEN status = 'active' THEN status_since ELSE now() END,
    base_url = %(base_url)s, last_error = NULL
WHERE session_id = %(session_id)s AND epoch = %(epoch)s;

-- name: worker_lost
UPDATE session_workers
SET status = 'lost', status_since = now(), base_url = NULL, last_error = %(error)s
WHERE session_id = %(session_id)s AND epoch = %(epoch)s AND status IN ('starting', 'active');

-- name: workers
SELECT
    session_id, status, status_since, epoch, host, base_url, last_error, dirty_since, synced_at, sync_failures,
    next_sync_at
FROM session_workers
ORDER BY session_id;

-- name: worker_stopped
-- Not while a run of the session needs it.
UPDATE session_workers
SET status = 'stopped', status_since = now(), base_url = NULL
WHERE session_id = %(session_id)s
    AND status IN ('active', 'lost')
    AND NOT EXISTS (
        SELECT 1 FROM runs
        WHERE runs.session_id = session_workers.session_id
            AND NOT runs.bound
            AND runs.status IN ('starting', 'running', 'waiting', 'cancelling')
    );

-- name: hold_worker
-- Held by the connection, not by a transaction.
SELECT pg_advisory_lock(hashtextextended('runyard worker ' || %(session_id)s::text, 0));

-- name: live_sessions
-- Whose run an executor has in hand, going by what was heard of it.
SELECT runs.session_id, runs.epoch
FROM runs
WHERE runs.status IN ('starting', 'running', 'waiting', 'cancelling')
    AND NOT runs.bound
    AND runs.lease_expires_at IS NOT NULL
ORDER BY runs.session_id;

-- name: announce_presence
SELECT pg_try_advisory_lock(hashtextextended('runyard job worker ' || %(claimer)s, 0));
