-- name: run_history
-- A run's recent history, newest first, without its agent's messages.
SELECT event.at, event.type AS what, event.data AS detail
FROM run_spans AS span
CROSS JOIN LATERAL (
    SELECT seq, at, type, data
    FROM run_events
    WHERE session_id = span.session_id
        AND seq BETWEEN span.first_seq AND span.last_seq
        AND run_id = span.run_id
        AND (type LIKE 'run.%%' OR type LIKE 'human\_loop.%%' OR type LIKE 'workspace.%%')
    ORDER BY seq DESC
    LIMIT %(limit)s
) AS event
WHERE span.run_id = %(run_id)s
ORDER BY event.seq DESC;

-- name: waits_for_end
-- Whether this attempt was told to wait for the end of the run before.
SELECT EXISTS (
    SELECT 1
    FROM run_events
    WHERE run_id = %(run_id)s
        AND attempt = %(attempt)s
        AND n IS NULL
        AND type = 'run.held'
        AND data ->> 'heldBy' = %(held_by)s
);

-- name: run_is_due
SELECT next_attempt_at <= now() FROM runs WHERE id = %(run_id)s;
