-- name: unseen_runs
-- The session's runs since this one's provider last had a turn, or (`begins_anew`) all of them; newest first. A run counts
-- once its agent was given the prompt; what drives a bound run was given it outside.
SELECT other.id, other.provider, other.bound
FROM runs AS other
JOIN runs AS mine ON mine.id = %(run_id)s
WHERE other.session_id = mine.session_id
    AND other.id <> mine.id
    AND (other.prompt_delivered OR other.bound)
    AND (
        %(begins_anew)s
        OR other.started_at > COALESCE(
            (
                SELECT max(own.started_at)
                FROM runs AS own
                WHERE own.session_id = mine.session_id
                    AND own.id <> mine.id
                    AND own.provider = mine.provider
                    AND own.prompt_delivered
                    AND NOT own.bound
            ),
            '-infinity'
        )
    )
ORDER BY other.started_at DESC, other.id;

-- name: home_lacks_files
-- Whether the newest save left out files of the agent's home because they hold secrets. No row when it left out none.
SELECT true
FROM session_workers AS worker
JOIN snapshots AS head ON head.id = worker.head_snapshot
WHERE worker.session_id = %(session_id)s AND head.skipped @> '[{"reason": "secret_left_out"}]';

-- name: words_and_deeds_before
-- A run's agent messages (without thoughts) and tool calls, newest first. Of a longer piece only the end is read.
SELECT
    event.seq,
    event.type = 'message.delta' AS is_said,
    left(COALESCE(event.data ->> 'messageId', event.data ->> 'toolCallId', ''), 1000) AS part_of,
    right(event.data ->> 'text', %(longest)s) AS text,
    left(event.data ->> 'title', 1000) AS title,
    left(event.data ->> 'status', 100) AS status
FROM run_spans AS span
CROSS JOIN LATERAL (
    SELECT seq, type, data
    FROM run_events
    WHERE session_id = span.session_id
        AND seq BETWEEN span.first_seq AND LEAST(span.last_seq, %(before)s::bigint - 1)
        AND run_id = span.run_id
        AND NOT late
        AND (type IN ('tool.call', 'tool.update') OR (type = 'message.delta' AND data ->> 'role' = 'assistant'))
    ORDER BY seq DESC
    LIMIT %(limit)s
) AS event
WHERE span.run_id = %(run_id)s
ORDER BY event.seq DESC;
