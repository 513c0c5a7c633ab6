-- fragment: run
-- The columns of RunRow. The log's head holds the lease while the run has the writer fence.
    runs.id, runs.session_id, runs.user_id, runs.app_id, runs.app_version, runs.provider, runs.prompt, runs.options,
    runs.warnings, runs.traceparent, runs.status, runs.position, runs.bound, runs.claim, runs.claimed_by,
    runs.lock_expires_at, runs.attempt, runs.max_attempts, runs.key_generation, runs.previous_key_until, runs.epoch,
    runs.prompt_delivered, runs.next_attempt_at, runs.timeout_seconds, runs.cancel_deadline_at, runs.last_error,
    runs.usage, runs.reason_code, runs.reason_message, runs.stop_reason, runs.created_at, runs.started_at,
    runs.finished_at, runs.human_loop, runs.parked_at, runs.held_by, runs.held_since, runs.revision, runs.retry_of,
    (SELECT log.lease_expires_at FROM session_logs AS log WHERE log.run_id = runs.id) AS lease_expires_at

-- fragment: is_first
-- Whether the row of `runs` is the next in its session: no other run there is live or queued before it.
    NOT EXISTS (
        SELECT 1 FROM runs AS other
        WHERE other.session_id = runs.session_id
            AND other.id <> runs.id
            AND other.finished_at IS NULL
            AND (other.status <> 'queued' OR other.position < runs.position)
    )

-- name: insert_run
-- Queue the run last or first in its session. A live run keeps its position, because it may be requeued.
INSERT INTO runs (
    session_id, user_id, app_id, app_version, provider, prompt, options, warnings, traceparent, position, max_attempts,
    timeout_seconds, human_loop
)
VALUES (
    %(session_id)s, %(user_id)s, %(app_id)s, %(app_version)s, %(provider)s, %(prompt)s, %(options)s, %(warnings)s,
    %(traceparent)s,
    COALESCE(
        (
            SELECT CASE WHEN %(first)s THEN min(position) - 1024 ELSE max(position) + 1024 END
            FROM runs
            WHERE session_id = %(session_id)s AND finished_at IS NULL
        ),
        0
    ),
    %(max_attempts)s, %(timeout_seconds)s, %(human_loop)s
)
RETURNING {run};

-- name: insert_bound_run
-- No row when the run id exists.
INSERT INTO runs (
    id, session_id, user_id, app_id, app_version, provider, prompt, traceparent, position, max_attempts, bound, status,
    attempt, epoch, key_id, started_at
)
VALUES (
    %(run_id)s, %(session_id)s, %(user_id)s, %(app_id)s, %(app_version)s, %(provider)s, %(prompt)s, %(traceparent)s, 0,
    1, true, 'running', 1, %(epoch)s, %(key_id)s, now()
)
ON CONFLICT (id) DO NOTHING
RETURNING {run};

-- name: run_by_id
SELECT {run}
FROM runs
WHERE runs.id = %(run_id)s;

-- name: runs_of_session
SELECT {run}
FROM runs
WHERE runs.session_id = %(session_id)s
    AND (%(before_at)s::timestamptz IS NULL OR (runs.created_at, runs.id) < (%(before_at)s, %(before_id)s::uuid))
ORDER BY runs.created_at DESC, runs.id DESC
LIMIT %(limit)s;

-- name: unsettled_runs_of_session
SELECT {run}
FROM runs
WHERE runs.session_id = %(session_id)s AND runs.finished_at IS NULL
ORDER BY runs.status = 'queued', runs.position;

-- name: queue_position
-- The number of the session's runs before this one; 0 is next (or live).
SELECT count(*)::int
FROM runs AS ahead
JOIN runs AS mine ON mine.id = %(run_id)s
WHERE ahead.session_id = mine.session_id
    AND ahead.finished_at IS NULL
    AND mine.status = 'queued'
    AND ahead.id <> mine.id
    AND (ahead.status <> 'queued' OR ahead.position < mine.position);

-- name: claim_run
-- Claim a run that is due and first in its queue, when no other run is live. The caller holds the session.
UPDATE runs
SET status = 'starting',
    claim = runs.claim + 1,
    attempt = runs.attempt + 1,
    claimed_by = %(owner)s,
    epoch = %(epoch)s,
    lock_expires_at = now() + make_interval(secs => %(lock_seconds)s),
    held_by = NULL,
    held_since = NULL
WHERE runs.id = %(run_id)s
    AND runs.status = 'queued'
    AND runs.next_attempt_at <= now()
    AND NOT EXISTS (
        SELECT 1 FROM runs AS other
        WHERE other.session_id = runs.session_id
            AND other.id <> runs.id
            AND (
                other.status IN ('starting', 'running', 'waiting', 'parked', 'cancelling')
                OR (other.status = 'queued' AND other.position < runs.position)
            )
    )
RETURNING {run};

-- name: claim_stands
SELECT 1 FROM runs WHERE id = %(run_id)s AND claim = %(claim)s AND status = 'starting';

-- name: renew_claim
-- Extend the claim while its job still works on the run.
UPDATE runs
SET lock_expires_at = now() + make_interval(secs => %(lock_seconds)s)
WHERE id = %(run_id)s AND claim = %(claim)s AND status = 'starting';

-- name: end_claim
-- The claim's job has failed: the claim expires now instead of at its time.
UPDATE runs
SET lock_expires_at = now()
WHERE runs.id = %(run_id)s AND runs.claim = %(claim)s AND runs.status = 'starting'
RETURNING {run};

-- name: record_dispatched
-- The executor has the run: its heartbeats extend the lease from now on. A claim ends only with its attempt or a stop,
-- so the head alone decides.
UPDATE session_logs
SET lease_expires_at = GREATEST(lease_expires_at, now() + make_interval(secs => %(lease_seconds)s))
WHERE run_id = %(run_id)s AND attempt = %(attempt)s AND NOT stop_requested;

-- name: extend_lease
-- `numbered` counts the new events with a number of the source.
UPDATE session_logs
SET lease_expires_at = now() + make_interval(secs => %(lease_seconds)s), last_n = last_n + %(numbered)s
WHERE run_id = %(run_id)s;

-- name: begin_run
UPDATE runs
SET status = 'running', started_at = COALESCE(started_at, now())
WHERE id = %(run_id)s AND status = 'starting';

-- name: mark_prompt_delivered
UPDATE runs
SET prompt_delivered = true, started_at = COALESCE(started_at, now())
WHERE id = %(run_id)s;

-- name: await_human
UPDATE runs SET status = 'waiting' WHERE id = %(run_id)s AND status = 'running';

-- name: resume_run
UPDATE runs SET status = 'running' WHERE id = %(run_id)s AND status = 'waiting';

-- name: resume_run_if_free
UPDATE runs SET status = 'running'
WHERE id = %(run_id)s
    AND status = 'waiting'
    AND NOT EXISTS (SELECT 1 FROM human_requests WHERE run_id = %(run_id)s AND status = 'open');

-- name: park_run
-- Its agent may still live: the lease stays until the agent is known to have ended (`quiesce_run`).
UPDATE runs SET status = 'parked', parked_at = now()
WHERE id = %(run_id)s AND status = 'waiting' AND NOT bound;

-- name: quiesce_run
-- The caller holds the session.
UPDATE session_logs SET lease_expires_at = NULL
FROM runs
WHERE session_logs.run_id = %(run_id)s
    AND session_logs.attempt = %(attempt)s
    AND runs.id = session_logs.run_id
    AND runs.status = 'parked';

-- name: unpark_run
-- parked -> waiting: its agent ended by itself.
UPDATE runs SET status = 'waiting' WHERE id = %(run_id)s AND status = 'parked';

-- name: queue_parked_run_if_free
-- parked -> queued: no request is open and no agent lives. It goes first in its session, because its turn has begun.
UPDATE runs
SET status = 'queued',
    claimed_by = NULL,
    next_attempt_at = now(),
    position = LEAST(
        runs.position,
        (
            SELECT min(other.position) - 1 FROM runs AS other
            WHERE other.session_id = runs.session_id AND other.status = 'queued'
        )
    )
WHERE runs.id = %(run_id)s
    AND runs.status = 'parked'
    AND NOT EXISTS (SELECT 1 FROM session_logs WHERE run_id = %(run_id)s AND lease_expires_at IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM human_requests WHERE run_id = %(run_id)s AND status = 'open');

-- name: attempts_not_counted
-- Attempts after which the run was parked, and attempts that the host gave back.
SELECT count(*) FROM run_events
WHERE run_id = %(run_id)s
    AND n IS NULL
    AND (type = 'run.parked' OR (type = 'run.held' AND data ->> 'attemptGivenBack' = 'true'));

-- name: record_usage
UPDATE runs SET usage = %(usage)s WHERE id = %(run_id)s;

-- name: add_warning
UPDATE runs
SET warnings = warnings || jsonb_build_array(%(warning)s::jsonb)
WHERE id = %(run_id)s AND jsonb_array_length(warnings) < %(most)s;

-- name: begin_cancelling
UPDATE runs
SET status = 'cancelling',
    claim = claim + 1,
    cancel_deadline_at = now() + make_interval(secs => %(deadline_seconds)s)
WHERE id = %(run_id)s AND status IN ('starting', 'running', 'waiting', 'parked')
RETURNING {run};

-- name: settle_run
UPDATE runs
SET status = %(status)s,
    finished_at = now(),
    reason_code = %(reason_code)s,
    reason_message = %(reason_message)s,
    stop_reason = %(stop_reason)s,
    usage = COALESCE(%(usage)s, usage),
    lock_expires_at = NULL,
    held_by = NULL,
    held_since = NULL
WHERE id = %(run_id)s AND finished_at IS NULL
RETURNING {run};

-- name: requeue_run
-- live -> queued: a later attempt of the same run.
UPDATE runs
SET status = 'queued',
    claimed_by = NULL,
    lock_expires_at = NULL,
    last_error = %(error)s,
    next_attempt_at = now() + make_interval(secs => %(delay_seconds)s)
WHERE id = %(run_id)s AND status IN ('starting', 'running', 'waiting')
RETURNING {run};

-- name: insert_usage
INSERT INTO usage_log (run_id, session_id, user_id, app_id, provider, usage)
SELECT id, session_id, user_id, app_id, provider, %(usage)s FROM runs WHERE id = %(run_id)s
ON CONFLICT (run_id) DO NOTHING;

-- name: rotate_callback_key
UPDATE runs
SET key_generation = key_generation + 1,
    key_id = %(key_id)s,
    previous_key_until = now() + make_interval(secs => %(overlap_seconds)s)
WHERE id = %(run_id)s AND finished_at IS NULL
RETURNING {run};

-- name: previous_key_is_valid
SELECT previous_key_until > now() FROM runs WHERE id = %(run_id)s;

-- name: used_shares
-- What a user has of each share, counted up to it. The seconds are null below a share: those until the oldest that counts
-- is older than the share's window.
SELECT
    (
        SELECT count(*)::int
        FROM (
            SELECT 1 FROM runs WHERE user_id = %(user_id)s AND status = 'queued' LIMIT %(queued_runs)s
        ) AS queued
    ) AS queued_runs,
    (
        SELECT extract(EPOCH FROM created_at - now())::float + %(prompt_seconds)s
        FROM runs
        WHERE user_id = %(user_id)s AND created_at > now() - make_interval(secs => %(prompt_seconds)s)
        ORDER BY created_at DESC
        OFFSET greatest(%(prompts)s - 1, 0) LIMIT least(%(prompts)s, 1)
    ) AS prompt_seconds,
    (
        SELECT extract(EPOCH FROM created_at - now())::float + %(key_seconds)s
        FROM idempotency_keys
        WHERE user_id = %(user_id)s AND created_at > now() - make_interval(secs => %(key_seconds)s)
        ORDER BY created_at DESC
        OFFSET greatest(%(keys)s - 1, 0) LIMIT least(%(keys)s, 1)
    ) AS key_seconds;

-- name: lock_idempotency_key
SELECT pg_advisory_xact_lock(hashtextextended(%(user_id)s::text || '/' || %(key)s, 0));

-- name: idempotent_run
SELECT run_id, body_digest FROM idempotency_keys WHERE user_id = %(user_id)s AND key = %(key)s;

-- name: forget_old_idempotency_keys
DELETE FROM idempotency_keys WHERE created_at < now() - make_interval(secs => %(seconds)s);

-- name: insert_idempotency_key
INSERT INTO idempotency_keys (user_id, key, body_digest, run_id)
VALUES (%(user_id)s, %(key)s, %(body_digest)s, %(run_id)s);

-- name: runs_by_ids
SELECT {run} FROM runs WHERE runs.id = ANY(%(run_ids)s::uuid[]) ORDER BY runs.id;

-- name: runs_to_reconcile
-- Overdue runs: an unfinished claim, an expired lease, a cancellation past its deadline, a parked run whose agent has not
-- ended, or a due and unthrottled run at the head of its queue without a job.
SELECT runs.id
FROM runs
LEFT JOIN session_logs AS head ON head.run_id = runs.id
WHERE runs.finished_at IS NULL
    AND (%(run_id)s::uuid IS NULL OR runs.id = %(run_id)s)
    AND (
        (runs.status = 'starting' AND COALESCE(head.lease_expires_at, runs.lock_expires_at) < now())
        OR (runs.status IN ('running', 'waiting') AND head.lease_expires_at < now())
        OR (runs.status = 'cancelling' AND runs.cancel_deadline_at < now())
        OR (
            runs.status = 'parked'
            AND head.lease_expires_at IS NOT NULL
            AND runs.parked_at < now() - make_interval(secs => %(undispatched_seconds)s)
        )
        OR (
            runs.status = 'queued'
            AND runs.held_by IS NULL
            AND runs.next_attempt_at < now() - make_interval(secs => %(undispatched_seconds)s)
            AND {is_first}
            AND NOT EXISTS (
                SELECT 1 FROM procrastinate_jobs AS job
                WHERE job.task_name = 'execute_run'
                    AND job.status = 'todo'
                    AND job.args ->> 'run_id' = runs.id::text
            )
        )
    )
ORDER BY runs.id
LIMIT %(limit)s;

-- name: orphaned_runs
-- Runs that are claimed but not dispatched, and whose claimer's lock (announce_presence) is free. pg_locks shows a 64-bit
-- key as two halves.
SELECT {run}
FROM runs
JOIN session_logs AS head ON head.run_id = runs.id
WHERE runs.status = 'starting'
    AND runs.finished_at IS NULL
    AND head.lease_expires_at IS NULL
    AND NOT runs.bound
    AND (%(run_id)s::uuid IS NULL OR runs.id = %(run_id)s)
    AND NOT EXISTS (
        SELECT 1 FROM pg_locks AS held
        WHERE held.locktype = 'advisory'
            AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND held.objsubid = 1
            AND held.granted
            AND (held.classid::bigint << 32) | held.objid::bigint
                = hashtextextended('runyard job worker ' || COALESCE(runs.claimed_by, ''), 0)
    );

-- name: due_runs
-- Heads of their sessions' queues that may start now, oldest first, without throttled runs.
SELECT runs.id
FROM runs
WHERE runs.status = 'queued'
    AND runs.held_by IS NULL
    AND runs.next_attempt_at <= now()
    AND {is_first}
ORDER BY runs.next_attempt_at
LIMIT %(limit)s;

-- name: first_seq_of_run
SELECT COALESCE(first_seq, 1) FROM runs WHERE id = %(run_id)s;

-- name: runs_of_disabled_users
SELECT runs.id AS run_id, runs.session_id
FROM users
JOIN runs ON runs.user_id = users.id
WHERE users.disabled_at IS NOT NULL AND runs.finished_at IS NULL AND runs.status <> 'cancelling'
ORDER BY runs.created_at
LIMIT %(limit)s;

-- name: run_of_disabled_user
SELECT {run}
FROM runs
JOIN users ON users.id = runs.user_id
WHERE runs.id = %(run_id)s
    AND users.disabled_at IS NOT NULL
    AND runs.finished_at IS NULL
    AND runs.status <> 'cancelling';

-- name: run_list
-- A page over sessions, newest first. `user_id` limits it to runs in sessions of that user; `stuck` to runs that have
-- waited longer than whoever has to move them on takes.
SELECT
    runs.id, runs.session_id, runs.user_id, users.name AS user_name, sessions.owner_id, sessions.title AS session_title,
    runs.provider, runs.status, runs.attempt, runs.max_attempts, runs.created_at, runs.started_at, runs.finished_at,
    runs.reason_code, runs.reason_message, runs.retry_of
FROM runs
JOIN sessions ON sessions.id = runs.session_id AND sessions.deleted_at IS NULL
JOIN users ON users.id = runs.user_id
LEFT JOIN session_logs AS head ON head.run_id = runs.id
WHERE (
        %(before_at)s::timestamptz IS NULL OR (runs.created_at, runs.id) < (%(before_at)s, %(before_id)s::uuid)
    )
    AND (%(owner_id)s::uuid IS NULL OR sessions.owner_id = %(owner_id)s)
    AND (%(of_user_id)s::uuid IS NULL OR runs.user_id = %(of_user_id)s)
    AND (%(session_id)s::uuid IS NULL OR runs.session_id = %(session_id)s)
    AND (%(provider)s::text IS NULL OR runs.provider = %(provider)s)
    AND (%(status)s::text IS NULL OR runs.status::text = %(status)s)
    AND (
        NOT %(stuck)s
        OR runs.finished_at IS NULL AND (
            runs.status = 'starting' AND COALESCE(head.lease_expires_at, runs.lock_expires_at) < now()
            OR runs.status IN ('running', 'waiting') AND head.lease_expires_at < now()
            OR runs.status = 'cancelling' AND runs.cancel_deadline_at < now()
            OR runs.status = 'queued'
            AND runs.next_attempt_at < now() - make_interval(secs => %(stuck_seconds)s)
            AND {is_first}
        )
    )
ORDER BY runs.created_at DESC, runs.id DESC
LIMIT %(limit)s;

-- name: mark_retry
UPDATE runs SET retry_of = %(retry_of)s WHERE id = %(run_id)s;
