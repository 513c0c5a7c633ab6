-- name: hold_session
-- Lock the session. Every verb that changes a session's runs, requests or log takes this lock first.
SELECT session_id, last_seq, epoch, run_id, last_n FROM session_logs WHERE session_id = %(session_id)s FOR UPDATE;

-- name: append_events
-- Append events under the next numbers of the session's log. The caller holds the session. The log head records the
-- last event of the run with the writer fence; this statement records those of other runs.
WITH head AS (
    UPDATE session_logs
    SET last_seq = last_seq + %(count)s
    WHERE session_id = %(session_id)s
    RETURNING last_seq - %(count)s AS base, run_id
), event AS MATERIALIZED (
    SELECT i, id, run_id, attempt, n, author, type, at, late, data
    FROM
        jsonb_to_recordset(%(events)s) AS event (
            i bigint, id uuid, run_id uuid, attempt integer, n bigint, author text, type text, at timestamptz,
            late boolean, data jsonb
        )
), noted AS (
    UPDATE runs SET first_seq = COALESCE(runs.first_seq, head.base + span.first), last_seq = head.base + span.last
    FROM head, (SELECT run_id, min(i) AS first, max(i) AS last FROM event GROUP BY run_id) AS span
    WHERE runs.id = span.run_id AND (runs.first_seq IS NULL OR runs.id IS DISTINCT FROM head.run_id)
)
INSERT INTO run_events (session_id, seq, id, run_id, attempt, n, author, type, at, late, data)
SELECT
    %(session_id)s, head.base + event.i, event.id, event.run_id, event.attempt, event.n, event.author, event.type,
    COALESCE(event.at, now()), event.late, event.data
FROM head, event;

-- name: receive_append_only_calls
-- Append calls of many runs, each continuing its run's log at its end. Locked sessions are skipped, and so is a head that
-- changed before it was locked: the update finds the locked row by its ctid, at almost no cost. `events_before` counts
-- the events of earlier calls.
WITH head AS (
    UPDATE session_logs
    SET last_seq = session_logs.last_seq + call.count,
        last_n = session_logs.last_n + call.count,
        lease_expires_at = now() + make_interval(secs => %(lease_seconds)s)
    FROM
        unnest(
            %(run_ids)s::uuid[], %(epochs)s::integer[], %(attempts)s::integer[], %(generations)s::integer[],
            %(before_ns)s::bigint[], %(counts)s::integer[], %(events_before)s::integer[]
        ) AS call (run_id, epoch, attempt, generation, before_n, count, events_before)
    CROSS JOIN LATERAL (
        SELECT log.ctid AS place
        FROM session_logs AS log
        WHERE log.run_id = call.run_id
            AND log.run_epoch = call.epoch
            AND log.attempt = call.attempt
            AND log.key_generation = call.generation
            AND log.last_n = COALESCE(call.before_n, log.last_n)
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS held
    WHERE session_logs.ctid = held.place
    RETURNING
        session_logs.session_id, session_logs.run_id, session_logs.attempt, session_logs.last_seq, session_logs.last_n,
        session_logs.stop_requested, call.count, call.events_before + 1 AS first, call.events_before + call.count AS last
), appended AS (
    INSERT INTO run_events (session_id, seq, id, run_id, attempt, n, author, type, at, late, data)
    SELECT
        head.session_id, head.last_seq - head.count + event.place, event.id, head.run_id, head.attempt,
        head.last_n - head.count + event.place, %(author)s, event.type, event.at, false, event.data
    FROM head
    CROSS JOIN LATERAL (
        SELECT
            generate_series(1, head.count) AS place,
            unnest((%(ids)s::uuid[])[head.first : head.last]) AS id,
            unnest((%(types)s::text[])[head.first : head.last]) AS type,
            unnest((%(ats)s::timestamptz[])[head.first : head.last]) AS at,
            unnest((%(datas)s::jsonb[])[head.first : head.last]) AS data
    ) AS event
)
SELECT run_id, session_id, last_seq, stop_requested FROM head;

-- name: receive_append_only_call
-- The same for a single call, the most frequent case: its plan is a third shorter, and planning dominates the cost.
WITH head AS (
    UPDATE session_logs
    SET last_seq = last_seq + %(count)s::integer,
        last_n = last_n + %(count)s::integer,
        lease_expires_at = now() + make_interval(secs => %(lease_seconds)s)
    WHERE ctid = (
        SELECT ctid
        FROM session_logs
        WHERE run_id = %(run_id)s::uuid
            AND run_epoch = %(epoch)s::integer
            AND attempt = %(attempt)s::integer
            AND key_generation = %(generation)s::integer
            AND last_n = COALESCE(%(before_n)s::bigint, last_n)
        FOR NO KEY UPDATE SKIP LOCKED
    )
    RETURNING
        session_id, run_id, attempt, stop_requested, last_seq, last_seq - %(count)s::integer AS seq_before,
        last_n - %(count)s::integer AS n_before
), appended AS (
    INSERT INTO run_events (session_id, seq, id, run_id, attempt, n, author, type, at, late, data)
    SELECT
        head.session_id, head.seq_before + event.place, event.id, head.run_id, head.attempt, head.n_before + event.place,
        %(author)s, event.type, event.at, false, event.data
    FROM head
    CROSS JOIN (
        SELECT
            generate_series(1, %(count)s::integer) AS place, unnest(%(ids)s::uuid[]) AS id,
            unnest(%(types)s::text[]) AS type, unnest(%(ats)s::timestamptz[]) AS at,
            unnest(%(datas)s::jsonb[]) AS data
    ) AS event
)
SELECT run_id, session_id, last_seq, stop_requested FROM head;

-- name: session_events_after
SELECT session_id, seq, id, run_id, attempt, author, type, at, late, data
FROM run_events
WHERE session_id = %(session_id)s AND seq > %(after)s
ORDER BY seq
LIMIT %(limit)s;

-- name: session_events_before
SELECT session_id, seq, id, run_id, attempt, author, type, at, late, data
FROM run_events
WHERE session_id = %(session_id)s AND seq < %(before)s
ORDER BY seq DESC
LIMIT %(limit)s;

-- name: session_event
SELECT session_id, seq, id, run_id, attempt, author, type, at, late, data
FROM run_events
WHERE session_id = %(session_id)s AND seq = %(seq)s;

-- name: written_events_after
-- A session's events as readers get them: one line of `Envelope` JSON each, in texts of 128 lines. PostgreSQL builds the
-- JSON at a fraction of Python's cost. One row an event would cost more. One single text would delay its first reader.
-- Concatenation in pairs copies long parts seldom. Types and the two frequent authors need no escaping. A log has no
-- gaps, so its numbers delimit a text; with LIMIT, a planner that expects few events would fetch and sort all later ones.
-- A timestamp's text costs half of to_char, but drops trailing zeros. Constant parts are built once. The statement fixes
-- the maximum of 24 texts, because a parameter would force a new plan for each call.
SELECT part.number, text.lines
FROM generate_series(0, 23) AS part (number)
CROSS JOIN LATERAL (
    SELECT string_agg(json, E'\n') AS lines
    FROM (
        SELECT
            (
                '{"seq":' || seq || ',"id":"' || id
                || (
                    (SELECT '","sessionId":"' || %(session_id)s::uuid || '"')
                    || COALESCE(',"runId":"' || run_id || '"', '')
                )
            ) || (
                COALESCE(',"attempt":' || attempt, '') || ',"author":'
                || CASE WHEN author IN ('executor', 'system') THEN '"' || author || '"' ELSE to_json(author)::text END
                || (
                    ',"type":"' || type || '","at":"'
                    || CASE
                        WHEN at::timestamptz(5) <> at THEN replace((at AT TIME ZONE 'UTC')::text, ' ', 'T')
                        ELSE replace(to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '.000000', '')
                    END
                )
            ) || (CASE WHEN late THEN 'Z","late":true,"data":' ELSE 'Z","data":' END || data::text || '}') AS json
        FROM run_events
        WHERE session_id = %(session_id)s
            AND seq > %(after)s::bigint + part.number * 128
            AND seq <= %(after)s::bigint + LEAST(part.number * 128 + 128, %(limit)s::integer)
        ORDER BY seq
    ) AS event
) AS text
WHERE part.number * 128 < %(limit)s::integer AND text.lines IS NOT NULL;

-- name: events_within_bytes
-- How many of the next `limit` events fit into `page_bytes`, of which the last may reach beyond; no row when all fit.
-- Stored sizes are added up, so no large data is read. Compressed data is taken as 32 times its stored size, which few
-- texts exceed.
SELECT count(*) FILTER (WHERE bytes_before < %(page_bytes)s)
FROM (
    SELECT
        COALESCE(
            sum(pg_column_size(data) * CASE WHEN pg_column_compression(data) IS NULL THEN 1 ELSE 32 END) OVER (
                ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ),
            0
        ) AS bytes_before
    FROM run_events
    WHERE session_id = %(session_id)s
        AND seq > %(after)s::bigint
        AND seq <= %(after)s::bigint + %(limit)s::integer
) AS event
HAVING bool_or(bytes_before >= %(page_bytes)s);

-- name: run_events_after
SELECT
    event.session_id, event.seq, event.id, event.run_id, event.attempt, event.author, event.type, event.at, event.late,
    event.data
FROM run_spans AS span
CROSS JOIN LATERAL (
    SELECT session_id, seq, id, run_id, attempt, author, type, at, late, data
    FROM run_events
    WHERE session_id = span.session_id
        AND seq BETWEEN GREATEST(span.first_seq, %(after)s::bigint + 1) AND span.last_seq
        AND run_id = span.run_id
    ORDER BY seq
    LIMIT %(limit)s
) AS event
WHERE span.run_id = %(run_id)s
ORDER BY event.seq;

-- name: stored_numbers
-- Stored events with these numbers of a source, newest first, at most as many as requested.
SELECT event.n, event.id
FROM run_spans AS span
CROSS JOIN LATERAL (
    SELECT n, id
    FROM run_events
    WHERE session_id = span.session_id
        AND seq BETWEEN span.first_seq AND span.last_seq
        AND run_id = span.run_id
        AND attempt = %(attempt)s
        AND n BETWEEN %(low)s AND %(high)s
    ORDER BY seq DESC
    LIMIT %(high)s - %(low)s + 1
) AS event
WHERE span.run_id = %(run_id)s;

-- name: last_number
-- The last number of an attempt that has lost the writer fence; no row when it has no stored event.
SELECT event.n
FROM run_spans AS span
CROSS JOIN LATERAL (
    SELECT n
    FROM run_events
    WHERE session_id = span.session_id
        AND seq BETWEEN span.first_seq AND span.last_seq
        AND run_id = span.run_id
        AND attempt = %(attempt)s
        AND n IS NOT NULL
    ORDER BY seq DESC
    LIMIT 1
) AS event
WHERE span.run_id = %(run_id)s;

-- name: events_of_run
-- Events since the run's first one, which are almost all its own.
SELECT last_seq - first_seq + 1 FROM run_spans WHERE run_id = %(run_id)s;

-- name: stored_ids
SELECT id FROM run_events WHERE run_id = %(run_id)s AND n IS NULL AND id = ANY (%(ids)s);

-- name: last_seqs
SELECT session_id, last_seq FROM session_logs WHERE session_id = ANY (%(session_ids)s);

-- name: notify_readers
-- A payload is one or more `session:seq`, separated by spaces. The caller sends it in its own asynchronous transaction.
SELECT pg_notify('runyard_log', payload) FROM unnest(%(payloads)s::text[]) AS payload;
