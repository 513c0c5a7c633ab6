-- name: worker
SELECT
    session_id, status, status_since, epoch, host, base_url, last_error, dirty_since, synced_at, sync_failures,
    next_sync_at, head_snapshot, sync_error, idle_since, restored_at
FROM session_workers
WHERE session_id = %(session_id)s;

-- fragment: watched
-- Everything that decides about a worker, except its host's report and its saved state. `needed_by` is the run in it or
-- due next. A parked run whose agent has ended, or a throttled run, needs no worker.
    worker.session_id, worker.status, worker.status_since, worker.epoch, worker.host, worker.base_url,
    worker.last_error, worker.dirty_since, worker.synced_at, worker.sync_failures, worker.next_sync_at,
    worker.head_snapshot, worker.sync_error, worker.idle_since, worker.restored_at, apps.limits, now() AS at,
    (
        SELECT first.id
        FROM (
            SELECT runs.id, runs.status, runs.held_by FROM runs
            WHERE runs.session_id = worker.session_id AND runs.finished_at IS NULL AND NOT runs.bound
            ORDER BY runs.status = 'queued', runs.position
            LIMIT 1
        ) AS first
        LEFT JOIN session_logs AS log ON log.run_id = first.id
        WHERE (first.status <> 'parked' OR log.lease_expires_at IS NOT NULL) AND first.held_by IS NULL
    ) AS needed_by,
    GREATEST(
        worker.idle_since,
        (SELECT max(runs.finished_at) FROM runs WHERE runs.session_id = worker.session_id),
        (SELECT max(asked.decided_at) FROM human_requests AS asked WHERE asked.session_id = worker.session_id)
    ) AS last_used_at

-- name: watched_worker
SELECT {watched}
FROM session_workers AS worker
JOIN sessions ON sessions.id = worker.session_id
JOIN apps ON apps.id = sessions.app_id
WHERE worker.session_id = %(session_id)s;

-- name: watched_workers
SELECT {watched}, sessions.owner_id, sessions.title AS session_title, users.name AS user_name
FROM session_workers AS worker
JOIN sessions ON sessions.id = worker.session_id
JOIN users ON users.id = sessions.owner_id
JOIN apps ON apps.id = sessions.app_id
WHERE %(after)s::uuid IS NULL OR worker.session_id > %(after)s
ORDER BY worker.session_id
LIMIT %(limit)s;

-- name: workers_of_host
-- The columns that decide whether a worker needs a closer look.
SELECT
    worker.session_id, worker.status, worker.status_since, worker.dirty_since, worker.idle_since, apps.limits,
    now() AS at
FROM session_workers AS worker
JOIN sessions ON sessions.id = worker.session_id
JOIN apps ON apps.id = sessions.app_id
WHERE worker.host = %(host)s
    AND (%(session_id)s::uuid IS NULL OR worker.session_id = %(session_id)s)
ORDER BY worker.status_since;

-- name: activation_of
-- The state before an activation. The worker's columns are null when the session never had a worker.
SELECT
    log.session_id, log.epoch, log.last_seq, apps.manifest, worker.epoch AS worker_epoch, worker.status,
    worker.restored_at, worker.head_snapshot, worker.dirty_since
FROM session_logs AS log
JOIN sessions ON sessions.id = log.session_id
JOIN apps ON apps.id = sessions.app_id
LEFT JOIN session_workers AS worker ON worker.session_id = log.session_id
WHERE log.session_id = %(session_id)s;

-- name: worker_starting
WITH told AS (
    INSERT INTO audit_log (actor, action, session_id, detail)
    VALUES (
        'system', 'worker.starting', %(session_id)s,
        jsonb_build_object('reason', %(why)s::text, 'epoch', %(epoch)s::integer)
    )
)
INSERT INTO session_workers (session_id, status, epoch, host)
VALUES (%(session_id)s, 'starting', %(epoch)s, %(host)s)
ON CONFLICT (session_id) DO UPDATE
SET status = 'starting',
    status_since = now(),
    epoch = excluded.epoch,
    host = excluded.host,
    base_url = NULL,
    restored_at = CASE WHEN session_workers.epoch = excluded.epoch THEN session_workers.restored_at END
WHERE session_workers.epoch <= excluded.epoch;

-- name: worker_active
UPDATE session_workers
SET status = 'active',
    status_since = now(),
    idle_since = now(),
    base_url = %(base_url)s,
    key_id = %(key_id)s,
    last_error = NULL,
    restored_at = COALESCE(restored_at, now())
WHERE session_id = %(session_id)s AND epoch = %(epoch)s AND status = 'starting';

-- name: worker_used
-- Restart the worker's idle time, because a request used it.
UPDATE session_workers SET idle_since = now() WHERE session_id = %(session_id)s AND status = 'active';

-- name: worker_lost
UPDATE session_workers
SET status = 'lost', status_since = now(), base_url = NULL, last_error = %(error)s
WHERE session_id = %(session_id)s AND epoch = %(epoch)s AND status IN ('starting', 'active');

-- name: worker_changed
-- `error` is the failure on the way, or null.
UPDATE session_workers
SET status = %(status)s,
    status_since = CASE WHEN status = %(status)s THEN status_since ELSE now() END,
    base_url = CASE WHEN %(status)s = 'active' THEN base_url END,
    last_error = %(error)s
WHERE session_id = %(session_id)s AND epoch = %(epoch)s;

-- name: next_epoch
UPDATE session_logs SET epoch = epoch + 1 WHERE session_id = %(session_id)s RETURNING epoch;

-- name: run_follows_epoch
-- Move a run that is being dispatched to the new epoch.
UPDATE runs SET epoch = %(epoch)s
FROM session_logs AS log
WHERE log.session_id = %(session_id)s
    AND runs.id = log.run_id
    AND runs.status = 'starting'
    AND log.lease_expires_at IS NULL
    AND NOT runs.bound;

-- name: run_of_lost_volume
-- The run that worked on a lost volume.
SELECT {run}
FROM runs
JOIN session_logs AS head ON head.run_id = runs.id
WHERE runs.session_id = %(session_id)s
    AND NOT runs.bound
    AND (
        (runs.status = 'starting' AND head.lease_expires_at IS NOT NULL)
        OR runs.status IN ('running', 'waiting', 'cancelling')
    );

-- name: begin_restore
INSERT INTO restores (session_id, epoch, snapshot_id) VALUES (%(session_id)s, %(epoch)s, %(snapshot_id)s) RETURNING id;

-- name: finish_restore
UPDATE restores
SET state = %(state)s, receipt = %(receipt)s, error = %(error)s, finished_at = now()
WHERE id = %(restore_id)s AND state = 'running';

-- name: give_up_restores
-- Fail restores that no process works on any more: the caller holds the worker's lock.
UPDATE restores SET state = 'failed', error = 'It was interrupted.', finished_at = now()
WHERE session_id = %(session_id)s AND state = 'running';

-- name: saved_up_to
-- The newest snapshot, and the number of its run among the session's runs.
SELECT
    head.id AS snapshot_id, head.number AS snapshot_number, head.created_at, head.run_id, head.files, head.bytes,
    head.at_rest,
    (
        SELECT count(*) FROM runs
        WHERE runs.session_id = head.session_id AND (runs.created_at, runs.id) <= (run.created_at, run.id)
    ) AS run_number
FROM session_workers AS worker
JOIN snapshots AS head ON head.id = worker.head_snapshot
LEFT JOIN runs AS run ON run.id = head.run_id
WHERE worker.session_id = %(session_id)s;

-- name: worker_history
-- A worker's recent history, newest first: the session's log, its restores and operators' actions.
SELECT at, what, detail FROM (
    (
        SELECT run_events.at, run_events.type AS what, run_events.data AS detail
        FROM run_events
        WHERE run_events.session_id = %(session_id)s
            AND (
                run_events.type LIKE 'workspace.%%'
                OR (run_events.type = 'run.warning' AND run_events.data ->> 'code' = 'workspace_may_miss_changes')
            )
        ORDER BY run_events.seq DESC
        LIMIT %(limit)s
    )
    UNION ALL
    (
        SELECT
            restores.started_at, 'restore.' || restores.state,
            jsonb_strip_nulls(
                jsonb_build_object('epoch', restores.epoch, 'snapshotId', restores.snapshot_id, 'error', restores.error)
            )
        FROM restores
        WHERE restores.session_id = %(session_id)s
        ORDER BY restores.started_at DESC
        LIMIT %(limit)s
    )
    UNION ALL
    (
        SELECT audit_log.at, audit_log.action, audit_log.detail || jsonb_build_object('actor', audit_log.actor)
        FROM audit_log
        WHERE audit_log.session_id = %(session_id)s
        ORDER BY audit_log.at DESC
        LIMIT %(limit)s
    )
) AS history
ORDER BY at DESC
LIMIT %(limit)s;

-- name: unsaved_events
-- The number of a session's events since its newest snapshot began.
SELECT count(*) FROM run_events
WHERE session_id = %(session_id)s
    AND seq > COALESCE(
        (
            SELECT head.seq FROM session_workers AS worker
            JOIN snapshots AS head ON head.id = worker.head_snapshot
            WHERE worker.session_id = %(session_id)s
        ),
        0
    )
    AND type IN ('tool.call', 'tool.update', 'message.stop', 'run.finished');

-- name: insert_audit
INSERT INTO audit_log (actor, action, session_id, detail)
VALUES (%(actor)s, %(action)s, %(session_id)s, %(detail)s);

-- name: delete_old_audit_log
-- Ids grow with time, so the oldest rows are found without an index on the time.
WITH oldest AS (
    SELECT id FROM audit_log
    ORDER BY id
    LIMIT %(most)s
),
deleted AS (
    DELETE FROM audit_log USING oldest
    WHERE audit_log.id = oldest.id AND audit_log.at < now() - make_interval(days => %(days)s)
    RETURNING 1
)
SELECT count(*) FROM deleted;

-- name: hold_worker
-- A session-level lock: the connection holds it, not a transaction.
SELECT pg_advisory_lock(hashtextextended('runyard worker ' || %(session_id)s::text, 0));

-- name: live_sessions
-- Sessions whose run an executor has, according to its latest calls. With `lease_left` only those whose lease ends within
-- so many seconds: each call extends it.
SELECT runs.session_id, runs.epoch
FROM runs
JOIN session_logs AS log ON log.run_id = runs.id
WHERE runs.status IN ('starting', 'running', 'waiting', 'parked', 'cancelling')
    AND NOT runs.bound
    AND log.lease_expires_at IS NOT NULL
    AND (
        %(lease_left)s::double precision IS NULL
        OR log.lease_expires_at < now() + make_interval(secs => %(lease_left)s)
    )
ORDER BY runs.session_id;

-- name: announce_presence
SELECT pg_try_advisory_lock(hashtextextended('runyard job worker ' || %(claimer)s, 0));
