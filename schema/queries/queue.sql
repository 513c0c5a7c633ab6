-- name: queued_runs
-- The session's queued runs (or the given run) in order; `ahead` counts the session's runs before each.
SELECT
    queued.id, queued.session_id, queued.user_id, queued.provider, queued.prompt, queued.options, queued.position,
    queued.ahead, queued.attempt, queued.revision, queued.created_at, queued.held_by, queued.held_since,
    ARRAY(
        SELECT uploads.path
        FROM run_attachments
        JOIN uploads ON uploads.id = run_attachments.upload_id
        WHERE run_attachments.run_id = queued.id
        ORDER BY run_attachments.position
    ) AS attachments
FROM (
    SELECT
        runs.id, runs.session_id, runs.user_id, runs.provider, runs.prompt, runs.options, runs.position, runs.attempt,
        runs.revision, runs.created_at, runs.held_by, runs.held_since,
        row_number() OVER (ORDER BY runs.position) - 1 + (
            SELECT count(*) FROM runs AS live
            WHERE live.session_id = %(session_id)s
                AND live.status IN ('starting', 'running', 'waiting', 'parked', 'cancelling')
        ) AS ahead
    FROM runs
    WHERE runs.session_id = %(session_id)s AND runs.status = 'queued'
) AS queued
WHERE (%(run_id)s::uuid IS NULL OR queued.id = %(run_id)s)
    AND (%(after)s::bigint IS NULL OR queued.position > %(after)s)
ORDER BY queued.position
LIMIT %(limit)s;

-- name: live_run
SELECT {run}
FROM runs
WHERE runs.session_id = %(session_id)s AND runs.status IN ('starting', 'running', 'waiting', 'parked', 'cancelling');

-- name: edit_queued_run
UPDATE runs
SET prompt = COALESCE(%(prompt)s, prompt),
    options = COALESCE(%(options)s, options),
    warnings = COALESCE(%(warnings)s, warnings),
    revision = revision + 1
WHERE id = %(run_id)s AND status = 'queued' AND attempt = 0 AND revision = %(revision)s;

-- name: waiting_runs
-- The session's queued runs that have not begun, and so may be reordered.
SELECT id, position FROM runs
WHERE session_id = %(session_id)s AND status = 'queued' AND attempt = 0
ORDER BY position;

-- name: last_position_taken
-- The position that every run that has not begun must follow, or null. A run that is being cancelled keeps no position.
SELECT max(position) FROM runs
WHERE session_id = %(session_id)s
    AND finished_at IS NULL
    AND status <> 'cancelling'
    AND NOT (status = 'queued' AND attempt = 0);

-- name: place_run
UPDATE runs SET position = %(position)s WHERE id = %(run_id)s;

-- name: space_out_queue
-- Keep the order and restore the gaps between positions.
UPDATE runs SET position = COALESCE(%(after)s::bigint, 0) + spaced.number * %(gap)s
FROM (
    SELECT id, row_number() OVER (ORDER BY position) AS number
    FROM runs
    WHERE session_id = %(session_id)s AND status = 'queued' AND attempt = 0
) AS spaced
WHERE runs.id = spaced.id;

-- name: head_of_queue
-- The session's next run, if the session has no live run.
SELECT runs.id
FROM runs
WHERE runs.session_id = %(session_id)s
    AND runs.status = 'queued'
    AND NOT EXISTS (
        SELECT 1 FROM runs AS live
        WHERE live.session_id = %(session_id)s
            AND live.status IN ('starting', 'running', 'waiting', 'parked', 'cancelling')
    )
ORDER BY runs.position
LIMIT 1;

-- name: runs_to_start
-- Runs that may start after a run ended or parked: the session's next run if none is live, and the run throttled longest
-- by a limit that the ended run counted against. The claim makes the decision.
(
    SELECT held.id
    FROM runs AS held
    WHERE held.held_by IS NOT NULL
        AND (
            held.held_by = 'system'
            OR (held.held_by = 'app' AND held.app_id = %(app_id)s)
            OR (held.held_by = 'user' AND held.user_id = %(user_id)s)
        )
    ORDER BY held.held_since
    LIMIT 1
)
UNION
(
    SELECT runs.id
    FROM runs
    WHERE runs.session_id = %(session_id)s
        AND runs.status = 'queued'
        AND NOT EXISTS (
            SELECT 1 FROM runs AS live
            WHERE live.session_id = %(session_id)s
                AND live.status IN ('starting', 'running', 'waiting', 'parked', 'cancelling')
        )
    ORDER BY runs.position
    LIMIT 1
);

-- name: hold_for_claim
-- Lock a queued run's session, as `hold_session` does, and read its app's limits; no row for a run in another state.
SELECT
    log.session_id, log.last_seq, log.epoch, log.run_id, log.last_n, runs.user_id,
    runs.held_by IS NOT NULL AS was_held, apps.manifest, (apps.limits ->> 'concurrentRuns')::int AS concurrent_runs
FROM runs
JOIN session_logs AS log ON log.session_id = runs.session_id
JOIN apps ON apps.id = runs.app_id
WHERE runs.id = %(run_id)s AND runs.status = 'queued'
FOR UPDATE OF log;

-- name: lock_run_limits
SELECT pg_advisory_xact_lock(hashtextextended('runyard run limits', 0));

-- name: lock_live_runs_of_user
SELECT pg_advisory_xact_lock(hashtextextended('runyard live runs of ' || %(user_id)s::text, 0));

-- name: user_has_room
-- Whether the user has fewer live runs than the limit, and none that a limit or the host throttles. The caller holds the
-- user's lock: a statement of its own sees what its holder before has done.
SELECT
    NOT EXISTS (SELECT 1 FROM runs WHERE held_by IS NOT NULL AND user_id = %(user_id)s)
    AND (
        SELECT count(*)
        FROM (
            SELECT 1 FROM runs
            WHERE user_id = %(user_id)s AND status IN ('starting', 'running', 'waiting', 'cancelling') AND NOT bound
            LIMIT %(per_user)s
        ) AS live
    ) < %(per_user)s;

-- name: check_run_limits
-- The limit that throttles the given run (if any), and the next throttled run that may start. A run may start when it is
-- due, first in its session and within each limit (0 disables a limit). Users with the fewest live runs go first, then
-- runs throttled longest. Parked and bound runs do not count. Runs that wait for a part which is away go before no other run.
WITH live AS MATERIALIZED (
    SELECT user_id, app_id FROM runs
    WHERE status IN ('starting', 'running', 'waiting', 'cancelling') AND NOT bound
), of_users AS (
    SELECT user_id, count(*) AS live FROM live GROUP BY user_id
), of_apps AS (
    SELECT app_id, count(*) AS live FROM live GROUP BY app_id
), candidates AS (
    SELECT
        runs.id, runs.user_id, runs.app_id, runs.held_by, COALESCE(runs.held_since, now()) AS since,
        COALESCE(of_users.live, 0) AS of_user, COALESCE(of_apps.live, 0) AS of_app,
        COALESCE((apps.limits ->> 'concurrentRuns')::int, %(per_app)s) AS per_app
    FROM runs
    JOIN apps ON apps.id = runs.app_id
    LEFT JOIN of_users ON of_users.user_id = runs.user_id
    LEFT JOIN of_apps ON of_apps.app_id = runs.app_id
    WHERE (
            runs.id = %(run_id)s::uuid
            OR (runs.held_by IS NOT NULL AND (%(system)s = 0 OR (SELECT count(*) FROM live) < %(system)s))
        )
        AND runs.status = 'queued'
        AND runs.next_attempt_at <= now()
        AND {is_first}
), judged AS (
    SELECT
        id, user_id, app_id, held_by, since, of_user, per_app,
        CASE
            WHEN %(system)s > 0 AND (SELECT count(*) FROM live) >= %(system)s THEN 'system'
            WHEN per_app > 0 AND of_app >= per_app THEN 'app'
            WHEN %(per_user)s > 0 AND of_user >= %(per_user)s THEN 'user'
        END AS reached
    FROM candidates
), others AS (
    SELECT id, user_id, app_id, since, of_user FROM judged
    WHERE reached IS NULL
        AND id IS DISTINCT FROM %(run_id)s::uuid
        AND (held_by IS NULL OR held_by <> ALL (%(away)s::text []))
)
SELECT
    (
        SELECT COALESCE(
            mine.reached,
            (
                SELECT CASE
                    WHEN %(system)s > 0 THEN 'system'
                    WHEN mine.per_app > 0 AND others.app_id = mine.app_id THEN 'app'
                    ELSE 'user'
                END
                FROM others
                WHERE (others.of_user, others.since, others.id) < (mine.of_user, mine.since, mine.id)
                    AND (
                        %(system)s > 0
                        OR (mine.per_app > 0 AND others.app_id = mine.app_id)
                        OR (%(per_user)s > 0 AND others.user_id = mine.user_id)
                    )
                LIMIT 1
            )
        )
        FROM judged AS mine
        WHERE mine.id = %(run_id)s::uuid
    ) AS held_by,
    (SELECT id FROM others ORDER BY of_user, since, id LIMIT 1) AS next_run_id;

-- name: any_run_is_throttled
SELECT EXISTS (SELECT 1 FROM runs WHERE held_by IS NOT NULL);

-- name: any_run_waits_for_store
SELECT EXISTS (SELECT 1 FROM runs WHERE held_by = 'store');

-- name: throttle_run
-- Whether the run was not throttled before; no row when nothing changes.
UPDATE runs SET held_by = %(held_by)s, held_since = COALESCE(held_since, now())
WHERE id = %(run_id)s AND status = 'queued' AND held_by IS DISTINCT FROM %(held_by)s
RETURNING held_since = now();

-- name: has_active_worker
SELECT EXISTS (SELECT 1 FROM session_workers WHERE session_id = %(session_id)s AND status = 'active');

-- name: hold_for_host
-- Hold a due run that is first in its session until session workers can be started; no row when nothing changes.
UPDATE runs SET held_by = 'host', held_since = COALESCE(held_since, now())
WHERE id = %(run_id)s
    AND status = 'queued'
    AND next_attempt_at <= now()
    AND held_by IS DISTINCT FROM 'host'
    AND {is_first}
RETURNING true;

-- name: hold_claimed_for_part
-- starting -> queued: the host or the object store failed before an executor had the run. No row when another run goes
-- first in its session.
UPDATE runs
SET status = 'queued',
    claimed_by = NULL,
    lock_expires_at = NULL,
    last_error = %(error)s,
    next_attempt_at = now(),
    held_by = %(part)s,
    held_since = now()
WHERE id = %(run_id)s
    AND status = 'starting'
    AND {is_first}
RETURNING true;

-- name: take_over_hold
-- The session's new first run takes over the throttling of its former first run.
WITH was AS (
    SELECT id, held_by, held_since FROM runs
    WHERE session_id = %(session_id)s AND held_by IS NOT NULL AND id <> %(run_id)s
), let_go AS (
    UPDATE runs SET held_by = NULL, held_since = NULL FROM was WHERE runs.id = was.id
)
UPDATE runs SET held_by = was.held_by, held_since = was.held_since FROM was WHERE runs.id = %(run_id)s;

-- name: runs_throttled_before
-- The number of runs under the same limit that start before this run.
WITH of_users AS (
    SELECT user_id, count(*) AS live FROM runs
    WHERE status IN ('starting', 'running', 'waiting', 'cancelling') AND NOT bound
    GROUP BY user_id
)
SELECT count(*)::int
FROM runs AS mine
JOIN runs AS other ON other.held_by IS NOT NULL
LEFT JOIN of_users AS of_me ON of_me.user_id = mine.user_id
LEFT JOIN of_users AS of_other ON of_other.user_id = other.user_id
WHERE mine.id = %(run_id)s
    AND (
        mine.held_by = 'system'
        OR (mine.held_by = 'app' AND other.app_id = mine.app_id)
        OR (mine.held_by = 'user' AND other.user_id = mine.user_id)
    )
    AND (COALESCE(of_other.live, 0), other.held_since, other.id) < (COALESCE(of_me.live, 0), mine.held_since, mine.id);

-- name: job_is_on_its_way
SELECT EXISTS (
    SELECT 1 FROM procrastinate_jobs
    WHERE task_name = 'execute_run' AND status = 'todo' AND args ->> 'run_id' = %(run_id)s::text
);
