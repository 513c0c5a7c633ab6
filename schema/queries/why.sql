-- name: run_history
-- What happened to a run lately, newest first, without what its agent said.
SELECT run_events.at, run_events.type AS what, run_events.data AS detail
FROM run_events
WHERE run_events.run_id = %(run_id)s
    AND (run_events.type LIKE 'run.%%' OR run_events.type LIKE 'human\_loop.%%' OR run_events.type LIKE 'workspace.%%')
ORDER BY run_events.seq DESC
LIMIT %(limit)s;

-- name: run_is_due
SELECT next_attempt_at <= now() FROM runs WHERE id = %(run_id)s;
