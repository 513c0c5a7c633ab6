-- name: insert_session
WITH made AS (
    INSERT INTO sessions (owner_id, app_id, title)
    VALUES (%(owner_id)s, %(app_id)s, %(title)s)
    RETURNING id, owner_id, app_id, title, created_at, updated_at
), log AS (
    INSERT INTO session_logs (session_id) SELECT id FROM made RETURNING last_seq, epoch
)
SELECT made.id, made.owner_id, made.app_id, made.title, made.created_at, made.updated_at, log.last_seq, log.epoch
FROM made, log;

-- name: session_by_id
SELECT
    sessions.id, sessions.owner_id, sessions.app_id, sessions.title, sessions.created_at, sessions.updated_at,
    session_logs.last_seq, session_logs.epoch
FROM sessions
JOIN session_logs ON session_logs.session_id = sessions.id
WHERE sessions.id = %(session_id)s AND sessions.deleted_at IS NULL;

-- name: sessions_of_owner
SELECT
    sessions.id, sessions.owner_id, sessions.app_id, sessions.title, sessions.created_at, sessions.updated_at,
    session_logs.last_seq, session_logs.epoch
FROM sessions
JOIN session_logs ON session_logs.session_id = sessions.id
WHERE sessions.owner_id = %(owner_id)s
    AND sessions.deleted_at IS NULL
    AND (
        %(before_at)s::timestamptz IS NULL
        OR (sessions.created_at, sessions.id) < (%(before_at)s, %(before_id)s::uuid)
    )
ORDER BY sessions.created_at DESC, sessions.id DESC
LIMIT %(limit)s;

-- name: rename_session
UPDATE sessions SET title = %(title)s, updated_at = now() WHERE id = %(session_id)s AND deleted_at IS NULL;

-- name: delete_session
UPDATE sessions SET deleted_at = now(), updated_at = now() WHERE id = %(session_id)s AND deleted_at IS NULL;

-- name: remember_conversation
INSERT INTO agent_conversations (session_id, provider, agent_session_id, run_id)
VALUES (%(session_id)s, %(provider)s, %(agent_session_id)s, %(run_id)s)
ON CONFLICT (session_id, provider) DO UPDATE
SET agent_session_id = excluded.agent_session_id, run_id = excluded.run_id, updated_at = now();

-- name: conversation
SELECT agent_session_id FROM agent_conversations WHERE session_id = %(session_id)s AND provider = %(provider)s;

-- name: conversation_of_run
-- The conversation that this run began or resumed.
SELECT agent_conversations.agent_session_id
FROM agent_conversations
JOIN runs ON runs.id = agent_conversations.run_id
WHERE runs.id = %(run_id)s
    AND agent_conversations.session_id = runs.session_id
    AND agent_conversations.provider = runs.provider;

-- name: take_back_delivery
-- This attempt's agent did not receive the prompt. The log tells whether an earlier attempt's agent did.
UPDATE runs
SET prompt_delivered = EXISTS (
    SELECT 1 FROM run_events
    WHERE run_events.run_id = runs.id AND run_events.n IS NULL AND run_events.type = 'run.parked'
) OR COALESCE(
    (
        SELECT (run_events.data ->> 'resuming')::boolean
        FROM run_events
        WHERE run_events.run_id = runs.id AND run_events.n IS NULL AND run_events.type = 'run.retrying'
        ORDER BY run_events.seq DESC
        LIMIT 1
    ),
    false
)
WHERE runs.id = %(run_id)s;

-- name: forget_empty_conversation
-- Forget a conversation that only this run used, and that has no messages to resume.
DELETE FROM agent_conversations
USING runs
WHERE runs.id = %(run_id)s
    AND NOT runs.prompt_delivered
    AND agent_conversations.run_id = runs.id
    AND NOT EXISTS (
        SELECT 1 FROM run_events
        WHERE run_events.session_id = agent_conversations.session_id
            AND run_events.run_id <> runs.id
            AND run_events.type = 'run.started'
            AND run_events.data ->> 'agentSessionId' = agent_conversations.agent_session_id
    );

-- name: worker_limits
SELECT apps.limits
FROM sessions
JOIN apps ON apps.id = sessions.app_id
WHERE sessions.id = %(session_id)s;
