-- depends: 0003.leases-off-the-index
-- Workspaces that outlive their workers: snapshots, the turn to save one, restores, and what apps ask of a workspace.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

CREATE TYPE snapshot_reason AS ENUM ('message', 'run', 'stop', 'remove', 'requested', 'dirty');
CREATE TYPE restore_state AS ENUM ('running', 'done', 'failed');

-- One saved state of a session. The row is written after its objects were proven to be in the store; `objects` names
-- them all (packs, parts, and the manifest last), so that nobody has to read a manifest to know what must stay.
CREATE TABLE snapshots (
    id uuid PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    number integer NOT NULL CONSTRAINT snapshots_number_positive CHECK (number > 0),
    epoch integer NOT NULL CONSTRAINT snapshots_epoch_positive CHECK (epoch > 0),
    run_id uuid REFERENCES runs (id) ON DELETE SET NULL,
    reason snapshot_reason NOT NULL,
    -- the session's last event when the scan began: what came later may not be in it
    seq bigint NOT NULL,
    -- whether the agent's home was scanned too; if not, its part is that of the snapshot before
    at_rest boolean NOT NULL,
    files bigint NOT NULL,
    bytes bigint NOT NULL,
    changed bigint NOT NULL,
    uploaded_bytes bigint NOT NULL,
    skipped jsonb NOT NULL DEFAULT '[]',
    objects text [] NOT NULL,
    manifest_digest text NOT NULL CONSTRAINT snapshots_digest_is_sha256 CHECK (manifest_digest ~ '^[0-9a-f]{64}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT snapshots_number_unique UNIQUE (session_id, number)
);
CREATE INDEX snapshots_run ON snapshots (run_id);

-- The turn to save (or to collect garbage of) a session: one at a time, fenced by `sync_claim`, given up at
-- `sync_lock_expires_at`. `next_sync_at` set while one is running is the one that waits.
-- Workers are few, and snapshots just came to be: checked and indexed at once, within the time-outs or not at all.
ALTER TABLE session_workers
-- squawk-ignore adding-foreign-key-constraint
ADD COLUMN head_snapshot uuid REFERENCES snapshots (id),
ADD COLUMN sync_claim integer NOT NULL DEFAULT 0,
ADD COLUMN sync_claimed_by text,
ADD COLUMN sync_lock_expires_at timestamptz,
ADD COLUMN sync_error text,
ADD COLUMN idle_since timestamptz,
ADD COLUMN restored_at timestamptz;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX session_workers_due ON session_workers (next_sync_at) WHERE next_sync_at IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX session_workers_head ON session_workers (head_snapshot);

-- What was put into a new place of a session's workspace, and what came of it.
CREATE TABLE restores (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    epoch integer NOT NULL CONSTRAINT restores_epoch_positive CHECK (epoch > 0),
    snapshot_id uuid REFERENCES snapshots (id),
    state restore_state NOT NULL DEFAULT 'running',
    receipt jsonb,
    error text,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT restores_done_has_receipt CHECK (state <> 'done' OR receipt IS NOT NULL)
);
CREATE INDEX restores_session ON restores (session_id, started_at DESC);
CREATE INDEX restores_snapshot ON restores (snapshot_id);

-- Objects that no snapshot names, seen so at `marked_at`; deleted after a grace period if they still are what they were.
CREATE TABLE unreferenced_objects (
    key text PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    last_modified timestamptz NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX unreferenced_objects_session ON unreferenced_objects (session_id);

-- What operators did that only they can do, above all what they insisted on.
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL CONSTRAINT audit_log_action_length CHECK (length(action) BETWEEN 1 AND 100),
    session_id uuid,
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_session ON audit_log (session_id, at) WHERE session_id IS NOT NULL;

-- `manifest`: what a workspace of the app is made of (schema/runtime_manifest.py). `limits`: of its workers
-- (schema/worker_limits.py); what is left out is the deployment's default.
ALTER TABLE apps
ADD COLUMN manifest jsonb NOT NULL DEFAULT '{}',
ADD COLUMN limits jsonb NOT NULL DEFAULT '{}';
