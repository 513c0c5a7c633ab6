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
