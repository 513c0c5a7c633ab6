-- fragment: session_overview
    sessions.id, sessions.owner_id, sessions.app_id, sessions.title, sessions.created_at, sessions.updated_at,
    sessions.active_at, log.last_seq, log.epoch,
    COALESCE((app.options ->> 'trustWorkspace')::boolean, false) AS trust_workspace,
    COALESCE(marks.read_seq, 0) AS read_seq, marks.pinned_at, marks.archived_at,
    live.id AS live_run_id, live.provider AS live_provider, live.status AS live_status, live.started_at AS live_started_at,
    queue.queued, asked.needs_me, asked.question, unseen.unread, latest.provider, latest.prompt,
    saved.is_saved, saved.saved_up_to_run_number,
    used.runs_with_usage, used.input_tokens, used.output_tokens, used.cached_read_tokens, used.cached_write_tokens,
    used.cost, used.without_cost

-- fragment: session_overview_source
    sessions
    JOIN session_logs AS log ON log.session_id = sessions.id
    JOIN apps AS app ON app.id = sessions.app_id
    LEFT JOIN session_marks AS marks ON marks.session_id = sessions.id AND marks.user_id = COALESCE(%(user_id)s::uuid, sessions.owner_id)
    LEFT JOIN LATERAL (
        SELECT runs.id, runs.provider, runs.status, runs.started_at
        FROM runs
        WHERE runs.session_id = sessions.id
            AND runs.status IN ('starting', 'running', 'waiting', 'parked', 'cancelling')
    ) AS live ON true
    CROSS JOIN LATERAL (
        SELECT count(*) AS queued FROM runs WHERE runs.session_id = sessions.id AND runs.status = 'queued'
    ) AS queue
    CROSS JOIN LATERAL (
        SELECT count(*) AS needs_me, (array_agg(open.title ORDER BY open.requested_at))[1] AS question
        FROM human_requests AS open
        WHERE open.session_id = sessions.id AND open.status = 'open'
    ) AS asked
    CROSS JOIN LATERAL (
        SELECT count(*) AS unread
        FROM runs
        WHERE runs.session_id = sessions.id
            AND runs.finished_at IS NOT NULL
            AND runs.last_seq > COALESCE(marks.read_seq, 0)
    ) AS unseen
    LEFT JOIN LATERAL (
        SELECT runs.provider, left(runs.prompt, 500) AS prompt
        FROM runs
        WHERE runs.session_id = sessions.id
        ORDER BY runs.created_at DESC, runs.id DESC
        LIMIT 1
    ) AS latest ON true
    LEFT JOIN LATERAL (
        SELECT
            worker.dirty_since IS NULL AS is_saved,
            (
                SELECT count(*)
                FROM runs
                WHERE runs.session_id = sessions.id
                    AND (runs.created_at, runs.id) <= (saved_run.created_at, saved_run.id)
            ) AS saved_up_to_run_number
        FROM session_workers AS worker
        LEFT JOIN snapshots ON snapshots.id = worker.head_snapshot
        LEFT JOIN runs AS saved_run ON saved_run.id = snapshots.run_id
        WHERE worker.session_id = sessions.id
    ) AS saved ON true
    CROSS JOIN LATERAL (
        SELECT
            count(*) AS runs_with_usage,
            sum((spent.usage ->> 'inputTokens')::numeric)::bigint AS input_tokens,
            sum((spent.usage ->> 'outputTokens')::numeric)::bigint AS output_tokens,
            sum((spent.usage ->> 'cachedReadTokens')::numeric)::bigint AS cached_read_tokens,
            sum((spent.usage ->> 'cachedWriteTokens')::numeric)::bigint AS cached_write_tokens,
            (
                SELECT jsonb_agg(jsonb_build_object('currency', sums.currency, 'amount', sums.amount) ORDER BY sums.currency)
                FROM (
                    SELECT priced.usage #>> '{cost,currency}' AS currency, sum((priced.usage #>> '{cost,amount}')::numeric) AS amount
                    FROM usage_log AS priced
                    WHERE priced.session_id = sessions.id AND priced.usage #>> '{cost,amount}' IS NOT NULL AND priced.usage #>> '{cost,currency}' IS NOT NULL
                    GROUP BY priced.usage #>> '{cost,currency}'
                ) AS sums
            ) AS cost,
            count(*) FILTER (WHERE spent.usage #>> '{cost,amount}' IS NULL OR spent.usage #>> '{cost,currency}' IS NULL) AS without_cost
        FROM usage_log AS spent
        WHERE spent.session_id = sessions.id
    ) AS used

-- name: session_overview
SELECT {session_overview}
FROM {session_overview_source}
WHERE sessions.id = %(session_id)s AND sessions.deleted_at IS NULL;

-- name: overviews_of_owners
-- Sessions as their owners' lists show them: with `user_id` null the marks are the owner's.
SELECT {session_overview}
FROM {session_overview_source}
WHERE sessions.id = ANY(%(session_ids)s::uuid[])
    AND sessions.owner_id = ANY(%(owner_ids)s::uuid[])
    AND sessions.deleted_at IS NULL;

-- name: deleted_sessions_of_owners
SELECT sessions.id AS session_id, sessions.owner_id
FROM sessions
WHERE sessions.id = ANY(%(session_ids)s::uuid[])
    AND sessions.owner_id = ANY(%(owner_ids)s::uuid[])
    AND sessions.deleted_at IS NOT NULL;

-- name: recently_active_sessions
SELECT sessions.id AS session_id, log.last_seq
FROM sessions
JOIN session_logs AS log ON log.session_id = sessions.id
WHERE sessions.owner_id = ANY(%(owner_ids)s::uuid[])
    AND sessions.active_at > now() - make_interval(secs => %(seconds)s::double precision)
    AND sessions.deleted_at IS NULL;

-- name: session_overviews
-- A page, by creation or by activity. `pattern` is a pattern of LIKE.
SELECT {session_overview}
FROM {session_overview_source}
WHERE sessions.owner_id = %(user_id)s
    AND sessions.deleted_at IS NULL
    AND (
        %(before_at)s::timestamptz IS NULL
        OR (CASE WHEN %(by_activity)s THEN sessions.active_at ELSE sessions.created_at END, sessions.id)
            < (%(before_at)s, %(before_id)s::uuid)
    )
    AND (%(app_id)s::uuid IS NULL OR sessions.app_id = %(app_id)s)
    AND (%(is_archived)s::boolean IS NULL OR (marks.archived_at IS NOT NULL) = %(is_archived)s)
    AND (%(is_pinned)s::boolean IS NULL OR (marks.pinned_at IS NOT NULL) = %(is_pinned)s)
    AND (NOT %(needs_me)s OR asked.needs_me > 0)
    AND (%(provider)s::text IS NULL OR latest.provider = %(provider)s)
    AND (
        %(status)s::text IS NULL
        OR COALESCE(live.status::text, CASE WHEN queue.queued > 0 THEN 'queued' ELSE 'idle' END) = %(status)s
    )
    AND (
        %(pattern)s::text IS NULL
        OR sessions.title ILIKE %(pattern)s
        OR EXISTS (SELECT 1 FROM runs WHERE runs.session_id = sessions.id AND runs.prompt ILIKE %(pattern)s)
    )
ORDER BY (CASE WHEN %(by_activity)s THEN sessions.active_at ELSE sessions.created_at END) DESC, sessions.id DESC
LIMIT %(limit)s;

-- name: mark_session
-- What is null stays as it is.
INSERT INTO session_marks (user_id, session_id, pinned_at, archived_at)
VALUES (
    %(user_id)s, %(session_id)s,
    CASE WHEN %(pinned)s::boolean THEN now() END,
    CASE WHEN %(archived)s::boolean THEN now() END
)
ON CONFLICT (user_id, session_id) DO UPDATE
SET pinned_at = CASE
        WHEN %(pinned)s::boolean IS NULL THEN session_marks.pinned_at
        WHEN %(pinned)s::boolean THEN COALESCE(session_marks.pinned_at, now())
    END,
    archived_at = CASE
        WHEN %(archived)s::boolean IS NULL THEN session_marks.archived_at
        WHEN %(archived)s::boolean THEN COALESCE(session_marks.archived_at, now())
    END;

-- name: mark_session_read
-- Never backwards, never beyond the log's end.
INSERT INTO session_marks (user_id, session_id, read_seq)
SELECT %(user_id)s, log.session_id, LEAST(%(seq)s::bigint, log.last_seq)
FROM session_logs AS log
WHERE log.session_id = %(session_id)s
ON CONFLICT (user_id, session_id) DO UPDATE SET read_seq = GREATEST(session_marks.read_seq, excluded.read_seq);
