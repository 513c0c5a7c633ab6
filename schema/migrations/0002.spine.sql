-- depends: 0001.procrastinate-3.10.0
-- The spine: who may do what, sessions with their logs, runs, what agents ask, and what was used.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

CREATE TYPE user_role AS ENUM ('admin', 'operator', 'member');
CREATE TYPE run_status AS ENUM (
    'queued', 'starting', 'running', 'waiting', 'parked', 'cancelling',
    'succeeded', 'failed', 'cancelled', 'blocked'
);
CREATE TYPE worker_status AS ENUM ('absent', 'starting', 'active', 'stopping', 'stopped', 'removing', 'lost');
CREATE TYPE human_request_kind AS ENUM ('permission', 'question');
CREATE TYPE human_request_status AS ENUM (
    'open', 'answered', 'delivering', 'applied', 'void', 'expired', 'cancelled'
);

CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL CONSTRAINT users_name_length CHECK (length(name) BETWEEN 1 AND 200),
    role user_role NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz,
    CONSTRAINT users_name_unique UNIQUE (name)
);

-- Only the digest of a token is kept.
CREATE TABLE access_tokens (
    digest bytea PRIMARY KEY CONSTRAINT access_tokens_digest_is_sha256 CHECK (length(digest) = 32),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    label text NOT NULL CONSTRAINT access_tokens_label_length CHECK (length(label) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE INDEX access_tokens_user ON access_tokens (user_id);

CREATE TABLE apps (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL CONSTRAINT apps_name_length CHECK (length(name) BETWEEN 1 AND 200),
    version integer NOT NULL DEFAULT 1 CONSTRAINT apps_version_positive CHECK (version > 0),
    provider text NOT NULL CONSTRAINT apps_provider_length CHECK (length(provider) BETWEEN 1 AND 100),
    options jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    archived_at timestamptz,
    CONSTRAINT apps_name_unique UNIQUE (name)
);

-- What the executors' registry declares; written by the job worker, read by everyone.
CREATE TABLE providers (
    name text PRIMARY KEY CONSTRAINT providers_name_length CHECK (length(name) BETWEEN 1 AND 100),
    declared jsonb NOT NULL,
    announced_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner_id uuid NOT NULL REFERENCES users (id),
    app_id uuid NOT NULL REFERENCES apps (id),
    title text NOT NULL CONSTRAINT sessions_title_length CHECK (length(title) <= 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE INDEX sessions_owner ON sessions (owner_id, created_at DESC, id DESC);
CREATE INDEX sessions_app ON sessions (app_id);

-- The head of a session's log. Its row lock is the session's mutex: whoever changes a session's runs,
-- requests or log takes it first. Narrow and half empty, so that an update stays on its page.
CREATE TABLE session_logs (
    session_id uuid PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    last_seq bigint NOT NULL DEFAULT 0 CONSTRAINT session_logs_last_seq_natural CHECK (last_seq >= 0),
    epoch integer NOT NULL DEFAULT 1 CONSTRAINT session_logs_epoch_positive CHECK (epoch > 0)
) WITH (fillfactor = 50);

-- The agent's own name for the conversation, one per provider, so that the next run can resume it.
CREATE TABLE agent_conversations (
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    provider text NOT NULL,
    agent_session_id text NOT NULL CONSTRAINT agent_conversations_id_length CHECK (length(agent_session_id) BETWEEN 1 AND 1000),
    run_id uuid NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session_id, provider)
);

CREATE TABLE session_workers (
    session_id uuid PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    status worker_status NOT NULL DEFAULT 'absent',
    status_since timestamptz NOT NULL DEFAULT now(),
    epoch integer NOT NULL CONSTRAINT session_workers_epoch_positive CHECK (epoch > 0),
    host text NOT NULL,
    base_url text,
    last_error text,
    dirty_since timestamptz,
    synced_at timestamptz,
    sync_failures integer NOT NULL DEFAULT 0,
    next_sync_at timestamptz,
    CONSTRAINT session_workers_active_has_url CHECK (status <> 'active' OR base_url IS NOT NULL)
);

CREATE TABLE runs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id),
    app_id uuid NOT NULL REFERENCES apps (id),
    app_version integer NOT NULL,
    provider text NOT NULL,
    prompt text NOT NULL,
    options jsonb NOT NULL DEFAULT '{}',
    warnings jsonb NOT NULL DEFAULT '[]',
    traceparent text NOT NULL,
    status run_status NOT NULL DEFAULT 'queued',
    -- order in the session's queue, given under the session's lock
    position bigint NOT NULL,
    bound boolean NOT NULL DEFAULT false,

    -- fencing: a claim is a job's, an attempt an executor's, a generation a callback key's
    claim integer NOT NULL DEFAULT 0,
    claimed_by text,
    lock_expires_at timestamptz,
    attempt integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL CONSTRAINT runs_max_attempts_range CHECK (max_attempts BETWEEN 1 AND 20),
    key_generation integer NOT NULL DEFAULT 1,
    previous_key_until timestamptz,
    epoch integer,

    -- the source's numbering: the last event of the current attempt that is in the log
    last_n bigint NOT NULL DEFAULT 0,
    -- true from the moment the prompt may have reached the agent: from then on it is never sent again
    prompt_delivered boolean NOT NULL DEFAULT false,
    lease_expires_at timestamptz,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    timeout_seconds double precision CONSTRAINT runs_timeout_positive CHECK (timeout_seconds > 0),
    cancel_deadline_at timestamptz,
    last_error text,

    usage jsonb,
    reason_code text,
    reason_message text,
    stop_reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,

    CONSTRAINT runs_final_has_finished_at CHECK (
        (status IN ('succeeded', 'failed', 'cancelled', 'blocked')) = (finished_at IS NOT NULL)
    ),
    CONSTRAINT runs_failure_has_reason CHECK (
        status NOT IN ('failed', 'blocked') OR (reason_code IS NOT NULL AND reason_message IS NOT NULL)
    ),
    CONSTRAINT runs_live_was_claimed CHECK (bound OR status NOT IN ('starting', 'running', 'waiting') OR claim > 0),
    CONSTRAINT runs_attempts_natural CHECK (attempt >= 0 AND claim >= 0 AND last_n >= 0)
);
CREATE UNIQUE INDEX runs_one_live_per_session ON runs (session_id)
    WHERE status IN ('starting', 'running', 'waiting', 'parked', 'cancelling');
CREATE INDEX runs_queue ON runs (session_id, position) WHERE status = 'queued';
CREATE INDEX runs_unsettled ON runs (status, lease_expires_at) WHERE finished_at IS NULL;
CREATE INDEX runs_session ON runs (session_id, created_at DESC, id DESC);
CREATE INDEX runs_user ON runs (user_id);
CREATE INDEX runs_app ON runs (app_id);

-- The only transitions there are; the trigger refuses every other, whoever writes.
CREATE TABLE run_transitions (
    from_status run_status NOT NULL,
    to_status run_status NOT NULL,
    PRIMARY KEY (from_status, to_status)
);
INSERT INTO run_transitions (from_status, to_status) VALUES
    ('queued', 'starting'), ('queued', 'blocked'), ('queued', 'cancelling'), ('queued', 'cancelled'),
    ('starting', 'running'), ('starting', 'queued'), ('starting', 'blocked'), ('starting', 'failed'),
    ('starting', 'cancelling'),
    ('running', 'waiting'), ('running', 'queued'), ('running', 'succeeded'), ('running', 'failed'),
    ('running', 'cancelling'),
    ('waiting', 'running'), ('waiting', 'parked'), ('waiting', 'queued'), ('waiting', 'failed'),
    ('waiting', 'cancelling'),
    ('parked', 'waiting'), ('parked', 'queued'), ('parked', 'failed'), ('parked', 'cancelling'),
    ('cancelling', 'cancelled');

CREATE FUNCTION refuse_unknown_run_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM run_transitions WHERE from_status = OLD.status AND to_status = NEW.status
    ) THEN
        RAISE EXCEPTION 'run % cannot go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'runs_known_transition';
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER runs_known_transition BEFORE UPDATE OF status ON runs
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION refuse_unknown_run_transition();

CREATE TABLE run_events (
    session_id uuid NOT NULL,
    seq bigint NOT NULL,
    id uuid NOT NULL,
    run_id uuid,
    attempt integer,
    n bigint,
    author text NOT NULL,
    type text NOT NULL CONSTRAINT run_events_type_length CHECK (length(type) <= 64),
    at timestamptz NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    late boolean NOT NULL DEFAULT false,
    data jsonb NOT NULL,
    PRIMARY KEY (session_id, seq)
);
CREATE INDEX run_events_run ON run_events (run_id, seq);
-- Sources that cannot number their events are deduplicated by id.
CREATE UNIQUE INDEX run_events_unnumbered ON run_events (run_id, id) WHERE n IS NULL;

CREATE TABLE idempotency_keys (
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key text NOT NULL CONSTRAINT idempotency_keys_length CHECK (length(key) BETWEEN 1 AND 255),
    body_digest bytea NOT NULL,
    run_id uuid NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_keys_run ON idempotency_keys (run_id);

CREATE TABLE human_requests (
    id uuid PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    run_id uuid NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    attempt integer NOT NULL,
    kind human_request_kind NOT NULL,
    status human_request_status NOT NULL DEFAULT 'open',
    title text NOT NULL,
    fingerprint text NOT NULL,
    tool_call jsonb,
    options jsonb,
    answer_schema jsonb,
    requested_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    on_expiry text NOT NULL DEFAULT 'wait' CONSTRAINT human_requests_on_expiry_known CHECK (on_expiry IN ('wait', 'deny', 'park', 'escalate')),
    answer jsonb,
    decided_by text,
    decided_at timestamptz,
    outcome_told text,
    settled_at timestamptz,
    CONSTRAINT human_requests_decision_complete CHECK ((answer IS NULL) = (decided_at IS NULL)),
    CONSTRAINT human_requests_answered_has_answer CHECK (status NOT IN ('answered', 'delivering', 'applied') OR answer IS NOT NULL)
);
CREATE INDEX human_requests_open ON human_requests (session_id) WHERE status = 'open';
CREATE INDEX human_requests_run ON human_requests (run_id);

-- One row a settled run: what it used and what that cost.
CREATE TABLE usage_log (
    run_id uuid PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id),
    app_id uuid NOT NULL REFERENCES apps (id),
    provider text NOT NULL,
    usage jsonb NOT NULL,
    settled_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX usage_log_session ON usage_log (session_id);
CREATE INDEX usage_log_user ON usage_log (user_id, settled_at);
CREATE INDEX usage_log_app ON usage_log (app_id, settled_at);

-- When each part of the control plane was last well, and since when without a break. An executor that could not
-- reach us is given up only a full lease after `well_since`.
CREATE TABLE control_plane_parts (
    part text PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now(),
    well_since timestamptz NOT NULL DEFAULT now()
);

-- What the API asks of the job worker, which alone can reach executors, and what came of it.
CREATE TABLE operations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind text NOT NULL CONSTRAINT operations_kind_length CHECK (length(kind) BETWEEN 1 AND 100),
    arguments jsonb NOT NULL DEFAULT '{}',
    requested_by uuid REFERENCES users (id),
    result jsonb,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT operations_finished_has_outcome CHECK ((finished_at IS NULL) = (result IS NULL AND error IS NULL))
);
CREATE INDEX operations_requested_by ON operations (requested_by);

INSERT INTO users (name, role) VALUES ('admin', 'admin');
INSERT INTO apps (name, provider) VALUES ('default', 'demo');
