-- depends: 0010.sign-ins
-- A person's list of sessions: when something last happened in each, what they have read, pinned and archived; and which
-- run another one repeats.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

ALTER TABLE sessions ADD COLUMN active_at timestamptz NOT NULL DEFAULT now();
UPDATE sessions
SET active_at = GREATEST(
    sessions.created_at,
    (
        SELECT max(GREATEST(runs.created_at, runs.started_at, runs.finished_at))
        FROM runs
        WHERE runs.session_id = sessions.id
    )
);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX sessions_active ON sessions (owner_id, active_at DESC, id DESC);

-- Of each person, not of the session: whom it is shared with reads and pins for themselves.
CREATE TABLE session_marks (
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    read_seq bigint NOT NULL DEFAULT 0,
    pinned_at timestamptz,
    archived_at timestamptz,
    PRIMARY KEY (user_id, session_id)
);
CREATE INDEX session_marks_session ON session_marks (session_id);

-- A new run with the prompt of an old one.
-- squawk-ignore adding-foreign-key-constraint
ALTER TABLE runs ADD COLUMN retry_of uuid REFERENCES runs (id) ON DELETE SET NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX runs_retry_of ON runs (retry_of) WHERE retry_of IS NOT NULL;
-- Runs of everyone, newest first.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX runs_created ON runs (created_at DESC, id DESC);

-- Something happens in a session when a run comes, moves on or ends, or when somebody is asked or answers. Callbacks that
-- only continue the log do not count: they would write this row each time.
CREATE FUNCTION touch_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sessions SET active_at = now() WHERE id = NEW.session_id AND active_at < now();
    RETURN NULL;
END;
$$;
CREATE TRIGGER runs_touch_session AFTER INSERT OR UPDATE OF status ON runs
    FOR EACH ROW EXECUTE FUNCTION touch_session();
CREATE TRIGGER human_requests_touch_session AFTER INSERT OR UPDATE OF status ON human_requests
    FOR EACH ROW EXECUTE FUNCTION touch_session();
