-- depends: 0018.presence
-- Which files people may not read, or may read all the same: by path, and by the reader's app, role or id.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- NULL in app_id, role, user_id or root stands for all of them.
CREATE TABLE file_policies (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    effect text NOT NULL CONSTRAINT file_policies_effect CHECK (effect IN ('allow', 'deny')),
    pattern text NOT NULL CONSTRAINT file_policies_pattern_length CHECK (length(pattern) BETWEEN 1 AND 500),
    root text CONSTRAINT file_policies_root CHECK (root IN ('workspace', 'agent')),
    app_id uuid REFERENCES apps (id) ON DELETE CASCADE,
    role user_role,
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    reason text CONSTRAINT file_policies_reason_length CHECK (length(reason) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT file_policies_once UNIQUE NULLS NOT DISTINCT (app_id, role, user_id, root, pattern)
);
CREATE INDEX file_policies_user ON file_policies (user_id);
