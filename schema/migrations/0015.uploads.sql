-- depends: 0014.file-audit
-- Files that people put into a workspace, kept here until a snapshot holds them; and the runs that they are attached to.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

CREATE TABLE uploads (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id),
    path text NOT NULL CONSTRAINT uploads_path_length CHECK (length(path) BETWEEN 1 AND 1000),
    mime_type text NOT NULL CONSTRAINT uploads_mime_type_length CHECK (length(mime_type) <= 200),
    size bigint NOT NULL,
    -- NULL once a snapshot that began after the upload was placed has been committed
    content bytea,
    -- the epoch of the volume that holds the file, and the log's number of the event that says so
    placed_epoch integer,
    placed_seq bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uploads_path UNIQUE (session_id, path)
);
CREATE INDEX uploads_waiting ON uploads (session_id) WHERE content IS NOT NULL;
CREATE INDEX uploads_user ON uploads (user_id);

CREATE TABLE run_attachments (
    run_id uuid NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position integer NOT NULL,
    upload_id uuid NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    CONSTRAINT run_attachments_place PRIMARY KEY (run_id, position)
);
CREATE INDEX run_attachments_upload ON run_attachments (upload_id);
