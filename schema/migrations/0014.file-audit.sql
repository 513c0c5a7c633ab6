-- depends: 0013.requests-by-session
-- Who looked at which files: one row a call, also of calls that were refused or failed.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- No foreign keys: a row outlives what it names, and a refused call may name what never was.
CREATE TABLE file_audit (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    user_id uuid,
    action text NOT NULL CONSTRAINT file_audit_action_length CHECK (length(action) <= 40),
    session_id uuid,
    snapshot_id uuid,
    root text CONSTRAINT file_audit_root_length CHECK (length(root) <= 40),
    path text CONSTRAINT file_audit_path_length CHECK (length(path) <= 6000),
    files integer,
    bytes bigint,
    -- whether the user may see the session; what failed after that is told by the reason
    allowed boolean NOT NULL,
    reason text NOT NULL CONSTRAINT file_audit_reason_length CHECK (length(reason) <= 100)
);
CREATE INDEX file_audit_at ON file_audit (at DESC, id DESC);
CREATE INDEX file_audit_user ON file_audit (user_id, at DESC, id DESC);
CREATE INDEX file_audit_session ON file_audit (session_id, at DESC, id DESC);

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of file_audit are never changed';
END
$$;
CREATE TRIGGER file_audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON file_audit
FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
