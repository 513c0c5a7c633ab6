-- depends: 0007.people-and-their-queue
-- A plain callback writes one row besides its events: the log's head, which also says who writes to the log now. And the
-- log has one index that every event goes into.
-- The code before this one cannot run beside it: stop it, then migrate.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- The pen: the session's live run, if it has one, and what fences its writer. `last_n` is the last event of the attempt
-- that is in the log, by its source's numbering; `lease_expires_at` until when it need not be heard of again.
ALTER TABLE session_logs
ADD COLUMN run_id uuid,
ADD COLUMN attempt integer,
ADD COLUMN run_epoch integer,
ADD COLUMN key_generation integer,
ADD COLUMN last_n bigint NOT NULL DEFAULT 0,
ADD COLUMN lease_expires_at timestamptz,
ADD COLUMN stop_requested boolean NOT NULL DEFAULT false;

-- Where in its session's log a run's events stand: from `first_seq` to `last_seq`, or to the log's end while it has the
-- pen. Kept where events are appended.
ALTER TABLE runs ADD COLUMN first_seq bigint, ADD COLUMN last_seq bigint;

UPDATE session_logs
SET run_id = runs.id,
    attempt = runs.attempt,
    run_epoch = runs.epoch,
    key_generation = runs.key_generation,
    last_n = runs.last_n,
    lease_expires_at = runs.lease_expires_at,
    stop_requested = runs.status = 'cancelling'
FROM runs
WHERE runs.session_id = session_logs.session_id
    AND runs.status IN ('starting', 'running', 'waiting', 'parked', 'cancelling');

UPDATE runs
SET first_seq = (SELECT min(run_events.seq) FROM run_events WHERE run_events.run_id = runs.id),
    last_seq = (SELECT max(run_events.seq) FROM run_events WHERE run_events.run_id = runs.id);

-- Heads are as few as sessions: indexed at once, within the time-outs or not at all.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX session_logs_run ON session_logs (run_id) WHERE run_id IS NOT NULL;

-- Nothing of the code before is left to read them.
ALTER TABLE runs
-- squawk-ignore ban-drop-column
DROP COLUMN last_n,
-- squawk-ignore ban-drop-column
DROP COLUMN lease_expires_at,
-- squawk-ignore constraint-missing-not-valid
ADD CONSTRAINT runs_attempts_natural CHECK (attempt >= 0 AND claim >= 0);
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX run_events_run;

CREATE VIEW run_spans AS
SELECT runs.id AS run_id, runs.session_id, runs.first_seq, COALESCE(log.last_seq, runs.last_seq) AS last_seq
FROM runs
LEFT JOIN session_logs AS log ON log.run_id = runs.id;

-- Whoever changes a run, its log's head says so in the same statement. A new writer begins at 0 and without a lease.
CREATE FUNCTION pass_the_pen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status IN ('starting', 'running', 'waiting', 'parked', 'cancelling') THEN
        UPDATE session_logs
        SET last_n = CASE WHEN run_id = NEW.id AND attempt = NEW.attempt THEN last_n ELSE 0 END,
            lease_expires_at = CASE WHEN run_id = NEW.id AND attempt = NEW.attempt THEN lease_expires_at END,
            run_id = NEW.id,
            attempt = NEW.attempt,
            run_epoch = NEW.epoch,
            key_generation = NEW.key_generation,
            stop_requested = NEW.status = 'cancelling'
        WHERE session_id = NEW.session_id
            AND (run_id, attempt, run_epoch, key_generation, stop_requested)
                IS DISTINCT FROM (NEW.id, NEW.attempt, NEW.epoch, NEW.key_generation, NEW.status = 'cancelling');
    ELSE
        UPDATE session_logs
        SET run_id = NULL,
            attempt = NULL,
            run_epoch = NULL,
            key_generation = NULL,
            last_n = 0,
            lease_expires_at = NULL,
            stop_requested = false
        WHERE run_id = NEW.id;
    END IF;
    RETURN NULL;
END;
$$;
CREATE TRIGGER runs_begin_with_the_pen AFTER INSERT ON runs
    FOR EACH ROW WHEN (NEW.status <> 'queued')
    EXECUTE FUNCTION pass_the_pen();
CREATE TRIGGER runs_pass_the_pen AFTER UPDATE OF status, attempt, epoch, key_generation ON runs
    FOR EACH ROW WHEN (
        (OLD.status, OLD.attempt, OLD.epoch, OLD.key_generation)
        IS DISTINCT FROM (NEW.status, NEW.attempt, NEW.epoch, NEW.key_generation)
    )
    EXECUTE FUNCTION pass_the_pen();
