-- name: hold_session
-- The session's mutex; every verb that changes runs, requests or the log of a session takes it first.
SELECT session_id, last_seq, epoch FROM session_logs WHERE session_id = %(session_id)s FOR UPDATE;

-- name: append_events
-- Gives the next numbers of the session's log. The caller holds the session.
WITH head AS (
    UPDATE session_logs
    SET last_seq = last_seq + %(count)s
    WHERE session_id = %(session_id)s
    RETURNING last_seq - %(count)s AS base
)
INSERT INTO run_events (session_id, seq, id, run_id, attempt, n, author, type, at, late, data)
SELECT
    %(session_id)s, head.base + event.i, event.id, event.run_id, event.attempt, event.n, event.author, event.type,
    COALESCE(event.at, now()), event.late, event.data
FROM head,
    jsonb_to_recordset(%(events)s) AS event (
        i bigint, id uuid, run_id uuid, attempt integer, n bigint, author text, type text, at timestamptz, late boolean,
        data jsonb
    );

-- name: receive_plain_calls
-- Calls of many runs, each of which continues its run's log where it ends. Sessions that are held are passed over.
-- Their events come apart from them, by the number of the call: taken out of each call they would be copied once more.
-- Both rows are locked, so that what is compared is what is there now and not what was there when this began.
WITH held AS MATERIALIZED (
    SELECT
        call.call, call.run_id, log.session_id, log.last_seq, run.attempt, run.status, run.last_n, call.count
    FROM
        jsonb_to_recordset(%(calls)s) AS call (
            call integer, run_id uuid, epoch integer, attempt integer, generation integer, before_n bigint, count bigint
        )
    JOIN runs AS run ON run.id = call.run_id
    JOIN session_logs AS log ON log.session_id = run.session_id
    WHERE run.epoch = call.epoch
        AND run.attempt = call.attempt
        AND run.key_generation = call.generation
        AND run.last_n = COALESCE(call.before_n, run.last_n)
        AND run.status IN ('starting', 'running', 'waiting', 'parked', 'cancelling')
    FOR UPDATE OF log, run SKIP LOCKED
), appended AS (
    INSERT INTO run_events (session_id, seq, id, run_id, attempt, n, author, type, at, late, data)
    SELECT
        held.session_id, held.last_seq + event.i, event.id, held.run_id, held.attempt, held.last_n + event.i,
        %(author)s, event.type, event.at, false, event.data
    FROM
        jsonb_to_recordset(%(events)s) AS event (
            call integer, i bigint, id uuid, type text, at timestamptz, data jsonb
        )
    JOIN held ON held.call = event.call
), grown AS (
    UPDATE session_logs SET last_seq = held.last_seq + held.count
    FROM held
    WHERE session_logs.session_id = held.session_id AND held.count > 0
), heard_of AS (
    UPDATE runs
    SET last_n = held.last_n + held.count,
        lease_expires_at = now() + make_interval(secs => %(lease_seconds)s),
        lock_expires_at = NULL
    FROM held
    WHERE runs.id = held.run_id
)
SELECT run_id, session_id, last_seq + count AS last_seq, status = 'cancelling' AS stop_requested FROM held;

-- name: session_events_after
SELECT session_id, seq, id, run_id, attempt, author, type, at, late, data
FROM run_events
WHERE session_id = %(session_id)s AND seq > %(after)s
ORDER BY seq
LIMIT %(limit)s;

-- name: written_events_after
-- Events of a session as readers get them: the JSON of `Envelope`, made here, where it costs a fraction, and a line each
-- of one text, for rows of their own would cost more. The texts are joined in pairs, so that long ones are copied seldom.
-- A type needs no escapes, nor do the two authors of nearly everything. A log has no gaps, so its numbers say where a
-- page ends: with LIMIT a planner that expects few events would fetch and sort all that follow. A timestamp's own text
-- costs half of to_char's, but leaves out the zeros at its end. What is the same in every row is made once.
SELECT min(seq), string_agg(json, E'\n')
FROM (
    SELECT
        seq,
        (
            '{"seq":' || seq || ',"id":"' || id
            || ((SELECT '","sessionId":"' || %(session_id)s::uuid || '"') || COALESCE(',"runId":"' || run_id || '"', ''))
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
    WHERE session_id = %(session_id)s AND seq > %(after)s AND seq <= %(after)s + %(limit)s
    ORDER BY seq
) AS event;

-- name: run_events_after
SELECT session_id, seq, id, run_id, attempt, author, type, at, late, data
FROM run_events
WHERE run_id = %(run_id)s AND seq > %(after)s
ORDER BY seq
LIMIT %(limit)s;

-- name: stored_numbers
-- What is stored under the numbers of a source, newest first; bounded by how many are asked for.
SELECT n, id
FROM run_events
WHERE run_id = %(run_id)s AND attempt = %(attempt)s AND n BETWEEN %(low)s AND %(high)s
ORDER BY seq DESC
LIMIT %(high)s - %(low)s + 1;

-- name: stored_ids
SELECT id FROM run_events WHERE run_id = %(run_id)s AND n IS NULL AND id = ANY (%(ids)s);

-- name: last_seqs
SELECT session_id, last_seq FROM session_logs WHERE session_id = ANY (%(session_ids)s);

-- name: hint
-- A payload is `session:seq`, any number of them with a space between. Sent in a transaction of its own, whose commit
-- nobody waits for.
SELECT pg_notify('runyard_log', payload) FROM unnest(%(payloads)s::text[]) AS payload;
