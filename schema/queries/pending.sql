-- name: pending_human_requests
-- Requests that wait for the user, oldest first: in their own sessions, or escalated to them or their role.
SELECT
    {human_request},
    sessions.owner_id, sessions.title AS session_title, runs.status AS run_status
FROM human_requests
JOIN sessions ON sessions.id = human_requests.session_id AND sessions.deleted_at IS NULL
JOIN runs ON runs.id = human_requests.run_id
WHERE human_requests.status = 'open'
    AND (
        sessions.owner_id = %(user_id)s
        OR (human_requests.escalated_at IS NOT NULL AND human_requests.escalate_to = ANY(%(called)s))
    )
    AND (%(session_id)s::uuid IS NULL OR human_requests.session_id = %(session_id)s)
    AND (
        %(after_at)s::timestamptz IS NULL
        OR (human_requests.requested_at, human_requests.id) > (%(after_at)s, %(after_id)s::uuid)
    )
ORDER BY human_requests.requested_at, human_requests.id
LIMIT %(limit)s;

-- name: human_requests_seen
-- Requests that the user may see, newest first: of their own sessions, escalated to them or their role, or of a session
-- that the caller has checked.
SELECT
    {human_request},
    sessions.owner_id, sessions.title AS session_title, runs.status AS run_status
FROM human_requests
JOIN sessions ON sessions.id = human_requests.session_id AND sessions.deleted_at IS NULL
JOIN runs ON runs.id = human_requests.run_id
WHERE (
        human_requests.session_id = %(session_id)s::uuid
        OR (
            %(session_id)s::uuid IS NULL
            AND (
                sessions.owner_id = %(user_id)s
                OR (human_requests.escalated_at IS NOT NULL AND human_requests.escalate_to = ANY(%(called)s))
            )
        )
    )
    AND (human_requests.status = 'open') = ANY (%(are_open)s::boolean[])
    AND (
        %(before_at)s::timestamptz IS NULL
        OR (human_requests.requested_at, human_requests.id) < (%(before_at)s, %(before_id)s::uuid)
    )
ORDER BY human_requests.requested_at DESC, human_requests.id DESC
LIMIT %(limit)s;

-- name: changed_human_requests
SELECT
    {human_request},
    sessions.owner_id, sessions.title AS session_title, runs.status AS run_status
FROM human_requests
JOIN sessions ON sessions.id = human_requests.session_id
JOIN runs ON runs.id = human_requests.run_id
WHERE (human_requests.session_id = ANY(%(session_ids)s::uuid[]) AND human_requests.status = 'open')
    OR human_requests.id = ANY(%(known_open)s::uuid[])
ORDER BY human_requests.requested_at, human_requests.id;

-- name: open_human_requests
SELECT human_requests.id, human_requests.session_id, human_requests.escalated_at
FROM human_requests
WHERE human_requests.status = 'open';

-- name: human_request_shown
SELECT
    {human_request},
    sessions.owner_id, sessions.title AS session_title, runs.status AS run_status
FROM human_requests
JOIN sessions ON sessions.id = human_requests.session_id AND sessions.deleted_at IS NULL
JOIN runs ON runs.id = human_requests.run_id
WHERE human_requests.id = %(request_id)s;

-- name: events_of_request
-- The log's events of a request, oldest first.
SELECT
    run_events.session_id, run_events.seq, run_events.id, run_events.run_id, run_events.attempt, run_events.author,
    run_events.type, run_events.at, run_events.late, run_events.data
FROM run_spans AS span
JOIN run_events
    ON run_events.session_id = span.session_id
    AND run_events.seq BETWEEN span.first_seq AND span.last_seq
    AND run_events.run_id = span.run_id
WHERE span.run_id = %(run_id)s
    AND run_events.type LIKE 'human\_loop.%%'
    AND run_events.data ->> 'requestId' = %(request_id)s::text
ORDER BY run_events.seq
LIMIT %(limit)s;
