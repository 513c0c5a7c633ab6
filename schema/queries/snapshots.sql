-- name: mark_dirty
-- From the session's next event on, its volume may hold unsaved changes. The caller holds the session. A failed save
-- keeps its pause, unless the run is over (within 0 s).
UPDATE session_workers
SET dirty_since = COALESCE(session_workers.dirty_since, now()),
    dirty_seq = session_logs.last_seq + 1,
    next_sync_at = CASE
        WHEN session_workers.sync_failures > 0 AND %(within_seconds)s::double precision > 0
        THEN COALESCE(session_workers.next_sync_at, now() + make_interval(secs => %(within_seconds)s::double precision))
        ELSE LEAST(session_workers.next_sync_at, now() + make_interval(secs => %(within_seconds)s::double precision))
    END
FROM session_logs
WHERE session_workers.session_id = %(session_id)s
    AND session_logs.session_id = session_workers.session_id
    AND (session_workers.status = 'active' OR (%(was_heard)s AND session_workers.status <> 'absent'));

-- name: make_sync_due
-- Make the save of unsaved changes due now. A failed save keeps its pause.
UPDATE session_workers SET next_sync_at = LEAST(next_sync_at, now())
WHERE session_id = %(session_id)s AND dirty_since IS NOT NULL AND (sync_failures = 0 OR next_sync_at IS NULL);

-- name: saving_state
-- Everything that decides about saving a session, at one moment. `run_id` is the run in the worker, else the last one.
-- `is_restored`: the volume is neither half restored nor empty where a snapshot belongs.
SELECT
    worker.session_id, worker.status, worker.epoch, log.epoch AS session_epoch, log.last_seq, worker.dirty_since,
    worker.dirty_seq, worker.sync_claim, worker.sync_failures, worker.sync_error, worker.next_sync_at,
    worker.sync_claimed_by IS NOT NULL AS is_claimed,
    COALESCE(worker.sync_claimed_by IS NOT NULL AND worker.sync_lock_expires_at > now(), false) AS is_syncing,
    worker.head_snapshot, head.seq AS head_seq, COALESCE(head.at_rest, false) AS head_at_rest,
    live.id AS live_run_id, COALESCE(live.id, latest.id) AS run_id, latest.traceparent, apps.manifest,
    COALESCE(extract(epoch FROM now() - GREATEST(worker.dirty_since, worker.synced_at)), 0)::double precision
        AS unsaved_seconds,
    (
        head.id IS NULL
        OR head.epoch = worker.epoch
        OR EXISTS (SELECT 1 FROM snapshots AS own WHERE own.session_id = worker.session_id AND own.epoch = worker.epoch)
        OR EXISTS (
            SELECT 1 FROM restores
            WHERE restores.session_id = worker.session_id
                AND restores.epoch = worker.epoch
                AND restores.state = 'done'
        )
    )
    AND COALESCE(
        (
            SELECT restores.state = 'done' FROM restores
            WHERE restores.session_id = worker.session_id AND restores.epoch = worker.epoch
            ORDER BY restores.started_at DESC
            LIMIT 1
        ),
        true
    ) AS is_restored
FROM session_workers AS worker
JOIN session_logs AS log ON log.session_id = worker.session_id
JOIN sessions ON sessions.id = worker.session_id
JOIN apps ON apps.id = sessions.app_id
LEFT JOIN snapshots AS head ON head.id = worker.head_snapshot
LEFT JOIN runs AS live
    ON live.session_id = worker.session_id
    AND NOT live.bound
    AND (
        live.status IN ('starting', 'running', 'waiting', 'cancelling')
        OR (live.status = 'parked' AND log.lease_expires_at IS NOT NULL)
    )
LEFT JOIN LATERAL (
    SELECT runs.id, runs.traceparent FROM runs
    WHERE runs.session_id = worker.session_id AND NOT runs.bound AND runs.attempt > 0
    ORDER BY runs.finished_at DESC NULLS FIRST, runs.created_at DESC
    LIMIT 1
) AS latest ON true
WHERE worker.session_id = %(session_id)s;

-- name: take_due_sync_leases
-- Lease sessions whose save is due or whose lease expired. Concurrent callers skip these. Reconciliation starts a stopped
-- worker first.
WITH due AS (
    SELECT session_id FROM session_workers
    WHERE status = 'active'
        AND (sync_claimed_by IS NULL OR sync_lock_expires_at <= now())
        AND (next_sync_at <= now() OR (sync_claimed_by IS NOT NULL AND dirty_since IS NOT NULL))
    ORDER BY next_sync_at
    LIMIT GREATEST(
        0,
        %(at_once)s::bigint - (
            SELECT count(*) FROM session_workers AS mine
            WHERE mine.sync_claimed_by = %(owner)s AND mine.sync_lock_expires_at > now()
        )
    )
    FOR UPDATE SKIP LOCKED
)
UPDATE session_workers
SET sync_claim = session_workers.sync_claim + 1,
    sync_claimed_by = %(owner)s,
    sync_lock_expires_at = now() + make_interval(secs => %(lock_seconds)s),
    next_sync_at = NULL
FROM due
WHERE session_workers.session_id = due.session_id
RETURNING session_workers.session_id, session_workers.sync_claim AS claim;

-- name: take_sync_lease
-- Lease one session if its lease is free. A save with an expired lease is due again if this lease is not for a save.
UPDATE session_workers
SET sync_claim = sync_claim + 1,
    sync_claimed_by = %(owner)s,
    sync_lock_expires_at = now() + make_interval(secs => %(lock_seconds)s),
    next_sync_at = CASE
        WHEN sync_claimed_by IS NOT NULL AND dirty_since IS NOT NULL THEN COALESCE(next_sync_at, now())
        ELSE next_sync_at
    END
WHERE session_id = %(session_id)s AND (sync_claimed_by IS NULL OR sync_lock_expires_at <= now())
RETURNING session_id, sync_claim AS claim;

-- name: renew_sync_lease
UPDATE session_workers
SET sync_lock_expires_at = now() + make_interval(secs => %(lock_seconds)s)
WHERE session_id = %(session_id)s AND sync_claim = %(claim)s AND sync_claimed_by IS NOT NULL;

-- name: begin_sync_lease
-- The scan begins after this, so it covers every save that was due.
UPDATE session_workers
SET sync_claimed_by = %(owner)s,
    sync_lock_expires_at = now() + make_interval(secs => %(lock_seconds)s),
    next_sync_at = NULL
WHERE session_id = %(session_id)s AND sync_claim = %(claim)s AND sync_claimed_by IS NOT NULL;

-- name: end_sync_lease
-- With `again_in_seconds`, the next save is due then at the latest.
UPDATE session_workers
SET sync_claimed_by = NULL,
    sync_lock_expires_at = NULL,
    next_sync_at = LEAST(next_sync_at, now() + make_interval(secs => %(again_in_seconds)s::double precision))
WHERE session_id = %(session_id)s AND sync_claim = %(claim)s AND sync_claimed_by IS NOT NULL;

-- name: orphaned_sync_leases
-- Leases whose owner's lock (announce_presence) is free: its process has ended.
SELECT session_id, sync_claim AS claim
FROM session_workers
WHERE sync_claimed_by IS NOT NULL
    AND sync_lock_expires_at > now()
    AND NOT EXISTS (
        SELECT 1 FROM pg_locks AS held
        WHERE held.locktype = 'advisory'
            AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND held.objsubid = 1
            AND held.granted
            AND (held.classid::bigint << 32) | held.objid::bigint
                = hashtextextended('runyard job worker ' || session_workers.sync_claimed_by, 0)
    );

-- name: expire_sync_lease
UPDATE session_workers SET sync_lock_expires_at = now()
WHERE session_id = %(session_id)s AND sync_claim = %(claim)s AND sync_claimed_by IS NOT NULL;

-- name: revoke_sync_lease
-- Fence the lease's owner, which can commit nothing any more. The next one may begin at once.
UPDATE session_workers SET sync_claim = sync_claim + 1, sync_lock_expires_at = now()
WHERE session_id = %(session_id)s AND sync_claimed_by IS NOT NULL;

-- name: insert_snapshot
-- The caller holds the session, so the number is the next one.
INSERT INTO snapshots (
    id, session_id, number, epoch, run_id, reason, seq, at_rest, files, bytes, changed, uploaded_bytes, skipped, objects,
    manifest_digest
)
SELECT
    %(id)s, %(session_id)s, COALESCE(max(number), 0) + 1, %(epoch)s, %(run_id)s, %(reason)s, %(seq)s, %(at_rest)s,
    %(files)s, %(bytes)s, %(changed)s, %(uploaded_bytes)s, %(skipped)s, %(objects)s, %(manifest_digest)s
FROM snapshots
WHERE session_id = %(session_id)s;

-- name: end_of_run
SELECT span.last_seq AS seq FROM run_spans AS span WHERE span.session_id = %(session_id)s AND span.run_id = %(run_id)s;

-- name: saved_end
-- The last ended run whose end the newest snapshot holds.
SELECT runs.id AS run_id
FROM session_workers AS worker
JOIN snapshots AS head ON head.id = worker.head_snapshot AND head.at_rest
JOIN runs ON runs.session_id = worker.session_id AND NOT runs.bound AND runs.attempt > 0 AND runs.finished_at IS NOT NULL
WHERE worker.session_id = %(session_id)s AND runs.last_seq <= head.seq
ORDER BY runs.last_seq DESC
LIMIT 1;

-- name: confirm_snapshot
-- A later scan found exactly this state again. Only one without a live agent (`at_rest`) proves it as of `seq`.
UPDATE snapshots
SET seq = CASE WHEN %(at_rest)s THEN GREATEST(seq, %(seq)s) ELSE seq END,
    at_rest = at_rest OR %(at_rest)s,
    skipped = %(skipped)s
WHERE id = %(id)s AND session_id = %(session_id)s;

-- name: record_synced
-- `covers`: no agent has lived since the scan began, and the scan read everything. Unreadable files are a failure, which
-- is recorded under the same lease.
UPDATE session_workers
SET head_snapshot = %(head)s,
    synced_at = now(),
    dirty_since = CASE
        WHEN %(covers)s AND dirty_seq <= %(seq)s THEN NULL
        WHEN %(failed)s THEN COALESCE(dirty_since, now())
        ELSE dirty_since
    END,
    sync_failures = CASE WHEN %(failed)s THEN sync_failures ELSE 0 END,
    sync_error = NULL,
    sync_claimed_by = CASE WHEN %(failed)s THEN sync_claimed_by END,
    sync_lock_expires_at = CASE WHEN %(failed)s THEN sync_lock_expires_at END
WHERE session_id = %(session_id)s AND sync_claim = %(claim)s AND sync_claimed_by IS NOT NULL AND epoch = %(epoch)s;

-- name: record_sync_failed
-- The pauses double from `pause_seconds` up to `longest_seconds`.
UPDATE session_workers
SET sync_failures = sync_failures + 1,
    sync_error = %(error)s,
    sync_claimed_by = NULL,
    sync_lock_expires_at = NULL,
    next_sync_at = now()
        + make_interval(secs => LEAST(%(pause_seconds)s * power(2, LEAST(sync_failures, 30)), %(longest_seconds)s))
WHERE session_id = %(session_id)s AND sync_claim = %(claim)s AND sync_claimed_by IS NOT NULL
RETURNING sync_failures AS failures, next_sync_at;

-- name: forget_unsaved
-- The volume is gone, and its unsaved changes with it.
UPDATE session_workers
SET dirty_since = NULL, dirty_seq = 0, next_sync_at = NULL, sync_failures = 0, sync_error = NULL
WHERE session_id = %(session_id)s;

-- name: overdue_syncs
-- Changes that have been unsaved for too long, and the state of their save.
SELECT
    session_id, sync_failures AS failures, sync_error AS error, next_sync_at,
    COALESCE(sync_claimed_by IS NOT NULL AND sync_lock_expires_at > now(), false) AS is_syncing
FROM session_workers
WHERE dirty_since IS NOT NULL
    AND status IN ('active', 'stopped', 'lost')
    AND GREATEST(dirty_since, synced_at) < now() - make_interval(secs => %(dirty_seconds)s)
ORDER BY dirty_since
LIMIT %(limit)s;

-- name: make_due
-- Saves that pause after a failure keep their pause.
UPDATE session_workers SET next_sync_at = now()
WHERE session_id = ANY (%(session_ids)s) AND next_sync_at IS NULL AND dirty_since IS NOT NULL
RETURNING session_id;

-- name: failing_syncs
SELECT session_id, sync_failures AS failures, sync_error AS error, count(*) OVER () AS all_of_them
FROM session_workers
WHERE sync_failures >= %(failures)s AND dirty_since IS NOT NULL
ORDER BY sync_failures DESC
LIMIT 1;

-- name: snapshot
SELECT
    id, session_id, number, epoch, run_id, reason, seq, at_rest, files, bytes, changed, uploaded_bytes, skipped, objects,
    manifest_digest, created_at
FROM snapshots
WHERE session_id = %(session_id)s AND id = %(snapshot_id)s;

-- name: snapshots_of_session
SELECT
    id, session_id, number, epoch, run_id, reason, seq, at_rest, files, bytes, changed, uploaded_bytes, skipped, objects,
    manifest_digest, created_at
FROM snapshots
WHERE session_id = %(session_id)s
    AND (%(before_at)s::timestamptz IS NULL OR (created_at, id) < (%(before_at)s, %(before_id)s::uuid))
ORDER BY created_at DESC, id DESC
LIMIT %(limit)s;

-- name: restores_of_session
SELECT id, session_id, epoch, snapshot_id, state, receipt, error, started_at, finished_at
FROM restores
WHERE session_id = %(session_id)s
    AND (%(before_at)s::timestamptz IS NULL OR (started_at, id) < (%(before_at)s, %(before_id)s::uuid))
ORDER BY started_at DESC, id DESC
LIMIT %(limit)s;

-- name: retire_snapshots
-- Delete snapshots from within a run, once a later quiesced snapshot of the run exists, or once they are old and not the
-- run's last. The head and the sources of restores stay.
DELETE FROM snapshots AS old
USING session_workers AS worker
WHERE worker.session_id = %(session_id)s
    AND old.session_id = worker.session_id
    AND old.id IS DISTINCT FROM worker.head_snapshot
    AND old.reason = 'message'
    AND NOT old.at_rest
    AND NOT EXISTS (SELECT 1 FROM restores WHERE restores.snapshot_id = old.id)
    AND EXISTS (
        SELECT 1 FROM snapshots AS later
        WHERE later.session_id = old.session_id
            AND later.run_id = old.run_id
            AND later.number > old.number
            AND (later.at_rest OR old.created_at < now() - make_interval(days => %(kept_days)s))
    )
RETURNING old.id;

-- name: sessions_with_objects
-- Sessions that may have uploaded objects.
SELECT session_id FROM session_workers WHERE sync_claim > 0 ORDER BY session_id;

-- name: mark_unreferenced
-- Mark a session's stored objects that no snapshot names. An object that is named since, deleted or rewritten loses its
-- mark and its grace period starts anew: it is not the object that the owner failed to delete.
WITH listed AS MATERIALIZED (
    SELECT key, last_modified
    FROM jsonb_to_recordset(%(listed)s) AS each (key text, last_modified timestamptz)
), named AS (
    SELECT unnest(snapshots.objects) AS key FROM snapshots WHERE snapshots.session_id = %(session_id)s
), unnamed AS MATERIALIZED (
    SELECT listed.key, listed.last_modified
    FROM listed
    WHERE NOT EXISTS (SELECT 1 FROM named WHERE named.key = listed.key)
), forgotten AS (
    DELETE FROM unreferenced_objects AS known
    WHERE known.session_id = %(session_id)s AND NOT EXISTS (SELECT 1 FROM unnamed WHERE unnamed.key = known.key)
)
INSERT INTO unreferenced_objects (key, session_id, last_modified)
SELECT key, %(session_id)s, last_modified FROM unnamed
ON CONFLICT (key) DO UPDATE
SET marked_at = CASE
        WHEN unreferenced_objects.last_modified = excluded.last_modified THEN unreferenced_objects.marked_at ELSE now()
    END,
    doomed_by = CASE
        WHEN
            unreferenced_objects.last_modified = excluded.last_modified
            OR unreferenced_objects.doomed_by IS DISTINCT FROM %(owner)s
        THEN unreferenced_objects.doomed_by
    END,
    last_modified = excluded.last_modified;

-- name: mark_for_deletion
-- Mark for deletion the objects that were unnamed for the whole grace period.
UPDATE unreferenced_objects SET doomed_by = %(owner)s
WHERE session_id = %(session_id)s AND marked_at <= now() - make_interval(secs => %(grace_seconds)s)
RETURNING key;

-- name: mark_damaged
INSERT INTO unreferenced_objects (key, session_id, last_modified, doomed_by)
SELECT damaged.key, %(session_id)s, now(), %(owner)s
FROM unnest(%(keys)s::text[]) AS damaged (key)
ON CONFLICT (key) DO UPDATE SET doomed_by = excluded.doomed_by;

-- name: objects_marked_for_deletion
-- The given objects that a live job worker has marked for deletion.
SELECT key FROM unreferenced_objects AS marked
WHERE marked.session_id = %(session_id)s
    AND marked.key = ANY (%(keys)s)
    AND EXISTS (
        SELECT 1 FROM pg_locks AS held
        WHERE held.locktype = 'advisory'
            AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND held.objsubid = 1
            AND held.granted
            AND (held.classid::bigint << 32) | held.objid::bigint
                = hashtextextended('runyard job worker ' || marked.doomed_by, 0)
    );

-- name: forget_deleted
DELETE FROM unreferenced_objects
WHERE session_id = %(session_id)s AND doomed_by = %(owner)s AND key = ANY (%(keys)s);

-- name: is_sync_announced
SELECT EXISTS (
    SELECT 1
    FROM run_events
    WHERE session_id = %(session_id)s AND seq > %(since)s AND type = 'workspace.syncing'
);

-- name: run_number
-- The run's place among its session's runs, from 1.
SELECT count(*)
FROM runs AS run
JOIN runs AS earlier
    ON earlier.session_id = run.session_id AND (earlier.created_at, earlier.id) <= (run.created_at, run.id)
WHERE run.id = %(run_id)s;
