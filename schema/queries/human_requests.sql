-- name: insert_human_request
INSERT INTO human_requests (
    id, session_id, run_id, attempt, kind, title, fingerprint, tool_call, options, answer_schema
)
VALUES (
    %(id)s, %(session_id)s, %(run_id)s, %(attempt)s, %(kind)s, %(title)s, %(fingerprint)s, %(tool_call)s, %(options)s,
    %(answer_schema)s
)
ON CONFLICT (id) DO NOTHING;

-- name: human_request
SELECT
    human_requests.id, human_requests.session_id, human_requests.run_id, human_requests.attempt, human_requests.kind,
    human_requests.status, human_requests.title, human_requests.fingerprint, human_requests.tool_call,
    human_requests.options, human_requests.answer_schema, human_requests.requested_at, human_requests.expires_at,
    human_requests.on_expiry, human_requests.answer, human_requests.decided_by, human_requests.decided_at,
    human_requests.outcome_told, human_requests.settled_at, human_requests.expiry_seconds,
    human_requests.then_on_expiry, human_requests.escalate_to, human_requests.escalated_at, human_requests.carried_to
FROM human_requests
WHERE human_requests.id = %(request_id)s;

-- name: open_human_requests_of_run
SELECT
    human_requests.id, human_requests.session_id, human_requests.run_id, human_requests.attempt, human_requests.kind,
    human_requests.status, human_requests.title, human_requests.fingerprint, human_requests.tool_call,
    human_requests.options, human_requests.answer_schema, human_requests.requested_at, human_requests.expires_at,
    human_requests.on_expiry, human_requests.answer, human_requests.decided_by, human_requests.decided_at,
    human_requests.outcome_told, human_requests.settled_at, human_requests.expiry_seconds,
    human_requests.then_on_expiry, human_requests.escalate_to, human_requests.escalated_at, human_requests.carried_to
FROM human_requests
WHERE human_requests.run_id = %(run_id)s AND human_requests.status = 'open';

-- name: answer_human_request
-- Single use: only an open request takes an answer.
UPDATE human_requests
SET status = 'answered', answer = %(answer)s, decided_by = %(decided_by)s, decided_at = now()
WHERE id = %(request_id)s AND status = 'open';

-- name: deliver_human_request
UPDATE human_requests
SET status = 'delivering'
WHERE id = %(request_id)s AND status IN ('answered', 'delivering');

-- name: settle_human_request
UPDATE human_requests
SET status = %(status)s, outcome_told = %(told)s, settled_at = now()
WHERE id = %(request_id)s AND run_id = %(run_id)s AND status IN ('answered', 'delivering');

-- name: withdraw_human_request
-- The agent asks no more; nobody had decided.
UPDATE human_requests
SET status = 'cancelled', outcome_told = %(told)s, settled_at = now()
WHERE id = %(request_id)s AND run_id = %(run_id)s AND status = 'open';

-- name: cancel_human_requests_of_run
-- The run has ended or begins anew: what is open was never decided, what is answered was never applied.
UPDATE human_requests
SET status = CASE WHEN status = 'open' THEN 'cancelled' ELSE 'void' END::human_request_status, settled_at = now()
WHERE run_id = %(run_id)s AND status IN ('open', 'answered', 'delivering')
RETURNING
    human_requests.id, human_requests.session_id, human_requests.run_id, human_requests.attempt, human_requests.kind,
    human_requests.status, human_requests.title, human_requests.fingerprint, human_requests.tool_call,
    human_requests.options, human_requests.answer_schema, human_requests.requested_at, human_requests.expires_at,
    human_requests.on_expiry, human_requests.answer, human_requests.decided_by, human_requests.decided_at,
    human_requests.outcome_told, human_requests.settled_at, human_requests.expiry_seconds,
    human_requests.then_on_expiry, human_requests.escalate_to, human_requests.escalated_at, human_requests.carried_to;

-- name: answers_to_deliver
-- Answers whose delivery was deferred but has not happened for a while.
SELECT human_requests.id
FROM human_requests
JOIN runs ON runs.id = human_requests.run_id AND runs.finished_at IS NULL
WHERE human_requests.status IN ('answered', 'delivering')
    AND human_requests.decided_at < now() - make_interval(secs => %(older_than_seconds)s)
ORDER BY human_requests.decided_at
LIMIT %(limit)s;
