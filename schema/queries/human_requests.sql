-- fragment: human_request
-- Of HumanRequestRow.
    human_requests.id, human_requests.session_id, human_requests.run_id, human_requests.attempt, human_requests.kind,
    human_requests.status, human_requests.title, human_requests.fingerprint, human_requests.tool_call,
    human_requests.options, human_requests.answer_schema, human_requests.requested_at, human_requests.expires_at,
    human_requests.on_expiry, human_requests.answer, human_requests.decided_by, human_requests.decided_at,
    human_requests.outcome_told, human_requests.settled_at, human_requests.expiry_seconds,
    human_requests.then_on_expiry, human_requests.escalate_to, human_requests.escalated_at, human_requests.carried_to,
    human_requests.replaces

-- name: insert_human_request
-- No row when the request id exists. `expires_in` is in seconds, null is never; `expiry_seconds` is the time after an
-- escalation.
INSERT INTO human_requests (
    id, session_id, run_id, attempt, kind, title, fingerprint, tool_call, options, answer_schema, expires_at, on_expiry,
    expiry_seconds, then_on_expiry, escalate_to, replaces
)
VALUES (
    %(id)s, %(session_id)s, %(run_id)s, %(attempt)s, %(kind)s, %(title)s, %(fingerprint)s, %(tool_call)s, %(options)s,
    %(answer_schema)s, now() + make_interval(secs => %(expires_in)s::double precision), %(on_expiry)s,
    %(expiry_seconds)s, %(then_on_expiry)s, %(escalate_to)s, %(replaces)s
)
ON CONFLICT (id) DO NOTHING
RETURNING {human_request};

-- name: has_room_for_request
SELECT
    count(*) < %(most)s
    AND COALESCE(sum(octet_length(concat(tool_call, options, answer_schema))), 0) < %(most_bytes)s
FROM human_requests
WHERE run_id = %(run_id)s AND attempt = %(attempt)s AND status = 'open';

-- name: human_request
SELECT {human_request}
FROM human_requests
WHERE human_requests.id = %(request_id)s;

-- name: open_human_requests_of_run
SELECT {human_request}
FROM human_requests
WHERE human_requests.run_id = %(run_id)s AND human_requests.status = 'open';

-- name: lasting_answers
-- Permissions that people granted for good in the session's runs by the same provider, the newest first.
SELECT {human_request}
FROM human_requests
JOIN runs ON runs.id = human_requests.run_id
WHERE human_requests.session_id = %(session_id)s
    AND runs.provider = %(provider)s
    AND human_requests.kind = 'permission'
    AND human_requests.status = 'applied'
    AND human_requests.answer ->> 'decision' = 'allow_always'
    AND human_requests.decided_by LIKE 'user:%%'
ORDER BY human_requests.decided_at DESC
LIMIT 200;

-- name: answers_on_their_way
-- Requests of the run that have an answer which the agent may not have heard.
SELECT {human_request}
FROM human_requests
WHERE human_requests.run_id = %(run_id)s AND human_requests.status IN ('answered', 'delivering')
ORDER BY human_requests.decided_at;

-- name: answer_human_request
-- Only an open request accepts an answer.
UPDATE human_requests
SET status = 'answered', answer = %(answer)s, decided_by = %(decided_by)s, decided_at = now()
WHERE id = %(request_id)s AND status = 'open';

-- name: expired_human_requests
-- Requests past their time whose run still waits or is parked.
SELECT human_requests.id
FROM human_requests
JOIN runs ON runs.id = human_requests.run_id AND runs.finished_at IS NULL AND runs.status <> 'cancelling'
WHERE human_requests.status = 'open' AND human_requests.expires_at <= now()
ORDER BY human_requests.expires_at
LIMIT %(limit)s;

-- name: expired_human_request
-- The request, if it is still due to expire.
SELECT {human_request}
FROM human_requests
JOIN runs ON runs.id = human_requests.run_id AND runs.finished_at IS NULL AND runs.status <> 'cancelling'
WHERE human_requests.id = %(request_id)s AND human_requests.status = 'open' AND human_requests.expires_at <= now();

-- name: expire_human_request
-- No person decided: the status stays `expired`, even after the answer is delivered.
UPDATE human_requests
SET status = 'expired', answer = %(answer)s, decided_by = 'timeout', decided_at = now()
WHERE id = %(request_id)s AND status = 'open';

-- name: escalate_human_request
UPDATE human_requests
SET escalated_at = now(),
    on_expiry = COALESCE(then_on_expiry, 'wait'),
    expires_at = CASE
        WHEN COALESCE(then_on_expiry, 'wait') <> 'wait' THEN now() + make_interval(secs => expiry_seconds)
    END
WHERE id = %(request_id)s AND status = 'open'
RETURNING {human_request};

-- name: leave_human_request_open
-- Remove the request's expiry.
UPDATE human_requests SET expires_at = NULL WHERE id = %(request_id)s AND status = 'open';

-- name: deliver_human_request
-- Record that the asking attempt may receive the answer from now on. An expired request stays `expired`.
UPDATE human_requests
SET status = CASE human_requests.status WHEN 'expired' THEN human_requests.status ELSE 'delivering' END,
    carried_to = human_requests.attempt
FROM runs
WHERE human_requests.id = %(request_id)s
    AND human_requests.answer IS NOT NULL
    AND human_requests.settled_at IS NULL
    AND human_requests.status IN ('answered', 'delivering', 'expired')
    AND runs.id = human_requests.run_id
    AND runs.attempt = human_requests.attempt
    AND runs.status IN ('running', 'waiting')
RETURNING {human_request};

-- name: carry_answers
-- Carry answers of an ended attempt to the run's next attempt.
UPDATE human_requests SET carried_to = %(attempt)s
WHERE run_id = %(run_id)s
    AND answer IS NOT NULL
    AND settled_at IS NULL
    AND status IN ('answered', 'expired')
RETURNING {human_request};

-- name: settle_human_request
UPDATE human_requests
SET status = CASE status WHEN 'expired' THEN status ELSE %(status)s::human_request_status END,
    outcome_told = %(told)s,
    settled_at = now()
WHERE id = %(request_id)s
    AND run_id = %(run_id)s
    AND answer IS NOT NULL
    AND settled_at IS NULL
    AND status IN ('answered', 'delivering', 'expired');

-- name: withdraw_human_request
-- The agent withdrew an undecided request.
UPDATE human_requests
SET status = 'cancelled', outcome_told = %(told)s, settled_at = now()
WHERE id = %(request_id)s AND run_id = %(run_id)s AND status = 'open';

-- name: close_human_requests_of_run
-- The run has ended: cancel undecided requests, and void answers that were never applied.
UPDATE human_requests
SET status = CASE status WHEN 'open' THEN 'cancelled' WHEN 'expired' THEN 'expired' ELSE 'void' END::human_request_status,
    outcome_told = %(told)s,
    settled_at = now()
WHERE run_id = %(run_id)s AND settled_at IS NULL AND status IN ('open', 'answered', 'delivering', 'expired')
RETURNING {human_request};

-- name: cancel_open_human_requests
-- The asking agent has ended before a decision.
UPDATE human_requests
SET status = 'cancelled', outcome_told = %(told)s, settled_at = now()
WHERE run_id = %(run_id)s AND status = 'open'
RETURNING {human_request};

-- name: void_taken_answers
-- Void answers that the ended attempt may have received, so that they are not delivered again. `taken` lists them as
-- its executor reported; null means every answer delivered since the attempt began.
UPDATE human_requests
SET status = CASE human_requests.status WHEN 'expired' THEN 'expired' ELSE 'void' END::human_request_status,
    outcome_told = %(told)s,
    settled_at = now()
FROM runs
WHERE runs.id = %(run_id)s
    AND human_requests.run_id = runs.id
    AND human_requests.answer IS NOT NULL
    AND human_requests.settled_at IS NULL
    AND human_requests.status IN ('answered', 'delivering', 'expired')
    AND CASE
        WHEN %(taken)s::uuid[] IS NULL
            THEN runs.status <> 'starting' AND human_requests.carried_to IS NOT DISTINCT FROM runs.attempt
        ELSE human_requests.id = ANY(%(taken)s::uuid[])
    END
RETURNING {human_request};

-- name: take_back_answers
-- Requeue answers whose attempt has ended without receiving them.
UPDATE human_requests
SET status = CASE status WHEN 'expired' THEN status ELSE 'answered' END, carried_to = NULL
WHERE run_id = %(run_id)s
    AND answer IS NOT NULL
    AND settled_at IS NULL
    AND status IN ('answered', 'delivering', 'expired');

-- name: answers_to_deliver
-- Answers whose delivery was enqueued but is overdue.
SELECT human_requests.id
FROM human_requests
JOIN runs
    ON runs.id = human_requests.run_id
    AND runs.attempt = human_requests.attempt
    AND runs.status IN ('running', 'waiting')
WHERE human_requests.answer IS NOT NULL
    AND human_requests.settled_at IS NULL
    AND human_requests.status IN ('answered', 'delivering', 'expired')
    AND human_requests.decided_at < now() - make_interval(secs => %(older_than_seconds)s)
ORDER BY human_requests.decided_at
LIMIT %(limit)s;

-- name: has_unseen_request
-- A request that nobody has decided, or whose decision no agent has heard of.
SELECT 1
FROM human_requests
WHERE run_id = %(run_id)s
    AND settled_at IS NULL
    AND status IN ('open', 'answered', 'delivering', 'expired')
LIMIT 1;

-- name: request_to_replace
-- The oldest answer that this attempt was given, for a call that its agent has not asked for again.
SELECT id
FROM human_requests
WHERE run_id = %(run_id)s
    AND carried_to = %(attempt)s
    AND attempt < %(attempt)s
    AND status <> 'applied'
    AND NOT EXISTS (
        SELECT 1 FROM human_requests AS newer
        WHERE newer.run_id = human_requests.run_id AND newer.replaces = human_requests.id
    )
ORDER BY requested_at
LIMIT 1;

-- name: cut_off_calls
-- Tool calls whose last word in this attempt is that they go on, but for those that a person is asked about.
SELECT left(COALESCE(NULLIF(call.title, ''), 'a tool call'), 200) AS title
FROM (
    SELECT
        event.data ->> 'toolCallId' AS id,
        (array_agg(event.data ->> 'title' ORDER BY event.seq) FILTER (WHERE event.data ->> 'title' IS NOT NULL))[1] AS title,
        (array_agg(event.data ->> 'status' ORDER BY event.seq DESC) FILTER (WHERE event.data ->> 'status' IS NOT NULL))[1] AS status,
        min(event.seq) AS first_seq
    FROM run_spans AS span
    JOIN run_events AS event
        ON event.session_id = span.session_id
        AND event.seq BETWEEN span.first_seq AND span.last_seq
        AND event.run_id = span.run_id
        AND event.attempt = %(attempt)s
        AND event.type IN ('tool.call', 'tool.update')
    WHERE span.run_id = %(run_id)s
    GROUP BY event.data ->> 'toolCallId'
) AS call
WHERE COALESCE(call.status, 'pending') IN ('pending', 'in_progress')
    AND NOT EXISTS (
        SELECT 1 FROM human_requests AS asked
        WHERE asked.run_id = %(run_id)s AND asked.tool_call ->> 'toolCallId' = call.id
    )
ORDER BY call.first_seq
LIMIT 20;
