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

-- name: session_events_after
SELECT session_id, seq, id, run_id, attempt, author, type, at, late, data
FROM run_events
WHERE session_id = %(session_id)s AND seq > %(after)s
ORDER BY seq
LIMIT %(limit)s;

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
-- `payload` is `session:seq`. Sent in a transaction of its own, whose commit nobody waits for.
SELECT pg_notify('runyard_log', %(payload)s);
