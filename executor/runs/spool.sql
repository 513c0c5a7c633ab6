-- The executor's spool (SQLite). `runs` has one row a run: its latest attempt. executor/runs/spool.py calls each
-- statement by name.

-- name: create_runs
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY,
    attempt INTEGER NOT NULL CHECK (attempt >= 0),
    claim INTEGER NOT NULL CHECK (claim >= 0),
    -- the executor refuses starts with this claim or a lower one, because the run was stopped
    refused_claim INTEGER NOT NULL DEFAULT 0,
    epoch INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('starting', 'running', 'finished', 'lost', 'refused')),
    callback_url TEXT NOT NULL,
    callback_key TEXT NOT NULL,
    traceparent TEXT,
    prompt_delivered INTEGER NOT NULL DEFAULT 0,
    last_n INTEGER NOT NULL DEFAULT 0,
    acked_n INTEGER NOT NULL DEFAULT 0,
    -- the data of run.finished, or 'parked' when the attempt has ended and the run has not
    outcome TEXT,
    reason TEXT,
    begun_at REAL NOT NULL DEFAULT (julianday('now')),
    CHECK (acked_n BETWEEN 0 AND last_n),
    CHECK ((state = 'finished') <= (outcome IS NOT NULL))
);

-- name: create_events
CREATE TABLE IF NOT EXISTS events (
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    n INTEGER NOT NULL CHECK (n > 0),
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    at TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (run_id, n)
);

-- name: create_requests
CREATE TABLE IF NOT EXISTS requests (
    request_id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
    answer TEXT
);

-- name: create_requests_run
CREATE INDEX IF NOT EXISTS requests_run ON requests (run_id);

-- name: run_by_id
SELECT run_id, attempt, claim, refused_claim, epoch, state, callback_url, callback_key, traceparent,
    prompt_delivered, last_n, acked_n, reason, coalesce(outcome = 'parked', 0) AS parked
FROM runs WHERE run_id = :run_id;

-- name: any_run
SELECT 1 FROM runs LIMIT 1;

-- name: runs_to_recover
SELECT run_id, attempt, claim, refused_claim, epoch, state, callback_url, callback_key, traceparent,
    prompt_delivered, last_n, acked_n, reason, coalesce(outcome = 'parked', 0) AS parked
FROM runs
WHERE state IN ('starting', 'running') OR (state IN ('finished', 'lost') AND acked_n < last_n)
ORDER BY begun_at;

-- name: highest_epoch
SELECT coalesce(max(epoch), 0) FROM runs;

-- name: undelivered
SELECT coalesce(sum(last_n - acked_n), 0) FROM runs WHERE state <> 'refused';

-- name: delete_run
DELETE FROM runs WHERE run_id = :run_id;

-- name: forget_old_runs
DELETE FROM runs
WHERE state IN ('finished', 'lost', 'refused') AND (acked_n = last_n OR state = 'refused')
    AND run_id NOT IN (SELECT run_id FROM runs ORDER BY begun_at DESC LIMIT :kept);

-- name: insert_run
INSERT INTO runs (run_id, attempt, claim, refused_claim, epoch, state, callback_url, callback_key, traceparent)
VALUES (:run_id, :attempt, :claim, :refused_claim, :epoch, 'starting', :callback_url, :callback_key, :traceparent);

-- name: refresh_run
UPDATE runs SET
    claim = max(claim, :claim),
    callback_url = :callback_url,
    callback_key = CASE WHEN callback_key = '' THEN '' ELSE :callback_key END
WHERE run_id = :run_id;

-- name: renew_callback
UPDATE runs SET callback_url = :callback_url, callback_key = :callback_key
WHERE run_id = :run_id AND attempt = :attempt AND callback_key <> '';

-- name: remember_stop
INSERT INTO runs (run_id, attempt, claim, refused_claim, epoch, state, callback_url, callback_key, reason)
VALUES (:run_id, 0, 0, :claim, 0, 'refused', '', '', 'The run was stopped before it reached this executor.')
ON CONFLICT (run_id) DO UPDATE SET refused_claim = max(refused_claim, excluded.refused_claim);

-- name: insert_event
INSERT INTO events (run_id, n, id, type, at, data) VALUES (:run_id, :n, :id, :type, :at, :data);

-- name: advance
UPDATE runs SET last_n = :last_n WHERE run_id = :run_id;

-- name: insert_request
INSERT INTO requests (request_id, run_id) VALUES (:request_id, :run_id);

-- name: finish
UPDATE runs SET state = 'finished', outcome = :outcome WHERE run_id = :run_id AND state <> 'refused';

-- name: park
UPDATE runs SET state = 'finished', outcome = 'parked' WHERE run_id = :run_id AND state IN ('starting', 'running');

-- name: mark_prompt_delivered
UPDATE runs SET state = 'running', prompt_delivered = 1 WHERE run_id = :run_id AND state = 'starting';

-- name: mark_lost
UPDATE runs SET state = 'lost' WHERE run_id = :run_id;

-- name: refuse
UPDATE runs SET state = 'refused', reason = :reason WHERE run_id = :run_id;

-- name: drop_events
DELETE FROM events WHERE run_id = :run_id;

-- name: drop_counts
UPDATE runs SET acked_n = last_n, callback_key = '' WHERE run_id = :run_id;

-- name: unacknowledged
SELECT n, id, type, at, data FROM events
WHERE run_id = :run_id AND n > :acked_n
ORDER BY n LIMIT :most;

-- name: acknowledge
UPDATE runs SET
    acked_n = :n,
    callback_key = CASE WHEN state = 'finished' AND last_n = :n THEN '' ELSE callback_key END
WHERE run_id = :run_id AND acked_n < :n;

-- name: delete_acknowledged
DELETE FROM events WHERE run_id = :run_id AND n <= :n;

-- name: is_answered
SELECT answer IS NOT NULL FROM requests WHERE run_id = :run_id AND request_id = :request_id;

-- name: taken_answers
SELECT request_id FROM requests WHERE run_id = :run_id AND answer IS NOT NULL;

-- name: use_answer
-- An answer that came with this attempt, for a request of an earlier attempt.
INSERT INTO requests (request_id, run_id, answer) VALUES (:request_id, :run_id, :answer) ON CONFLICT DO NOTHING;

-- name: store_answer
UPDATE requests SET answer = :answer WHERE run_id = :run_id AND request_id = :request_id AND answer IS NULL;
