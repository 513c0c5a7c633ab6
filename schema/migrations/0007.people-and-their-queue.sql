-- depends: 0006.places-that-are-whole
-- People away: what happens when nobody answers, rules that answer for them, todos with their history, a queue that
-- people edit, limits on what runs at once, and what each version of a provider was proved to do.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

CREATE TYPE rule_effect AS ENUM ('allow', 'ask', 'deny');

-- `human_loop`: what happens when nobody answers (schema/human_policy.py), as it was when the run was asked for.
-- `held_by`: the limit that keeps the run in the queue although it is due. `revision` guards edits while it is queued.
-- Runs that exist have the defaults; nothing is rewritten.
ALTER TABLE runs
ADD COLUMN human_loop jsonb NOT NULL DEFAULT '{}',
ADD COLUMN parked_at timestamptz,
ADD COLUMN held_by text,
ADD COLUMN held_since timestamptz,
ADD COLUMN revision integer NOT NULL DEFAULT 1,
-- squawk-ignore constraint-missing-not-valid
ADD CONSTRAINT runs_held_by_known CHECK (held_by IN ('system', 'app', 'user')),
-- squawk-ignore constraint-missing-not-valid
ADD CONSTRAINT runs_held_since CHECK ((held_by IS NULL) = (held_since IS NULL));
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX runs_held ON runs (held_since) WHERE held_by IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX runs_live_of_user ON runs (user_id) WHERE status IN ('starting', 'running', 'waiting', 'cancelling');

-- An answer that waits for the same call to be asked again is `answered`; `carried_to` is the attempt that was given it.
ALTER TABLE human_requests
ADD COLUMN expiry_seconds double precision,
ADD COLUMN then_on_expiry text,
ADD COLUMN escalate_to text,
ADD COLUMN escalated_at timestamptz,
ADD COLUMN carried_to integer,
-- squawk-ignore constraint-missing-not-valid
ADD CONSTRAINT human_requests_then_on_expiry_known CHECK (then_on_expiry IN ('wait', 'deny', 'park')),
-- squawk-ignore constraint-missing-not-valid
ADD CONSTRAINT human_requests_escalate_to_known CHECK (escalate_to ~ '^(user:[0-9a-f-]{36}|role:(admin|operator|member))$');
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX human_requests_expiring ON human_requests (expires_at) WHERE status = 'open' AND expires_at IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX human_requests_escalated ON human_requests (escalate_to) WHERE status = 'open' AND escalated_at IS NOT NULL;

-- A rule's versions; the one that is not retired is in force. Without app and user it is the deployment's.
CREATE TABLE approval_rules (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    version integer NOT NULL DEFAULT 1 CONSTRAINT approval_rules_version_positive CHECK (version > 0),
    app_id uuid REFERENCES apps (id) ON DELETE CASCADE,
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    effect rule_effect NOT NULL,
    tool_kind text CONSTRAINT approval_rules_kind_length CHECK (length(tool_kind) BETWEEN 1 AND 100),
    path_pattern text CONSTRAINT approval_rules_path_length CHECK (length(path_pattern) BETWEEN 1 AND 1024),
    command_pattern text CONSTRAINT approval_rules_command_length CHECK (length(command_pattern) BETWEEN 1 AND 1024),
    note text CONSTRAINT approval_rules_note_length CHECK (length(note) <= 500),
    created_by uuid REFERENCES users (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz,
    PRIMARY KEY (id, version)
);
CREATE UNIQUE INDEX approval_rules_in_force ON approval_rules (id) WHERE retired_at IS NULL;
CREATE INDEX approval_rules_app ON approval_rules (app_id);
CREATE INDEX approval_rules_user ON approval_rules (user_id);
CREATE INDEX approval_rules_created_by ON approval_rules (created_by);

-- What happens when nobody answers in runs of the app (schema/human_policy.py); what is left out is the deployment's.
ALTER TABLE apps ADD COLUMN human_loop jsonb NOT NULL DEFAULT '{}';

-- A session's todos as they are now, and every change of one. `to_status` may also be `dropped`.
CREATE TABLE todo_groups (
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    group_id text NOT NULL CONSTRAINT todo_groups_id_length CHECK (length(group_id) BETWEEN 1 AND 200),
    title text,
    run_id uuid NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    provider text NOT NULL,
    seq bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, group_id)
);
CREATE INDEX todo_groups_run ON todo_groups (run_id);

CREATE TABLE todo_items (
    session_id uuid NOT NULL,
    group_id text NOT NULL,
    item_id text NOT NULL CONSTRAINT todo_items_id_length CHECK (length(item_id) BETWEEN 1 AND 200),
    place integer NOT NULL,
    content text NOT NULL,
    status text NOT NULL CONSTRAINT todo_items_status_known CHECK (status IN ('pending', 'in_progress', 'completed', 'dropped')),
    priority text,
    run_id uuid NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, group_id, item_id),
    FOREIGN KEY (session_id, group_id) REFERENCES todo_groups (session_id, group_id) ON DELETE CASCADE
);
CREATE INDEX todo_items_run ON todo_items (run_id);

CREATE TABLE todo_changes (
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    number bigint GENERATED ALWAYS AS IDENTITY,
    seq bigint NOT NULL,
    run_id uuid NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    group_id text NOT NULL,
    item_id text NOT NULL,
    content text NOT NULL,
    from_status text,
    to_status text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, number)
);
CREATE INDEX todo_changes_run ON todo_changes (run_id, number);

-- What the agents say of themselves when they start (`said`, from the newest run of the version), and what a conformance
-- probe of the version proved (`proved`).
CREATE TABLE provider_versions (
    provider text NOT NULL CONSTRAINT provider_versions_provider_length CHECK (length(provider) BETWEEN 1 AND 100),
    version text NOT NULL CONSTRAINT provider_versions_version_length CHECK (length(version) BETWEEN 1 AND 200),
    said jsonb,
    said_at timestamptz,
    proved jsonb,
    proved_at timestamptz,
    PRIMARY KEY (provider, version)
);
