-- name: runs_not_heard
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

-- name: words_and_deeds_before
-- What a run's agent said, without its thoughts, and did: the newest first.
SELECT
    seq,
    type = 'message.delta' AS is_said,
    COALESCE(data ->> 'messageId', data ->> 'toolCallId', '') AS part_of,
    data ->> 'text' AS text,
    left(data ->> 'title', 1000) AS title,
    data ->> 'status' AS status
FROM run_events
WHERE run_id = %(run_id)s
    AND seq < %(before)s
    AND NOT late
    AND (type IN ('tool.call', 'tool.update') OR (type = 'message.delta' AND data ->> 'role' = 'assistant'))
ORDER BY seq DESC
LIMIT %(limit)s;
