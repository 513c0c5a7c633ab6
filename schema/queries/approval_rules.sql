-- fragment: rule
    id, version, app_id, user_id, effect, tool_kind, path_pattern, command_pattern, note, created_by, created_at,
    retired_at

-- name: insert_approval_rule
INSERT INTO approval_rules (app_id, user_id, effect, tool_kind, path_pattern, command_pattern, note, created_by)
VALUES (
    %(app_id)s, %(user_id)s, %(effect)s, %(tool_kind)s, %(path_pattern)s, %(command_pattern)s, %(note)s, %(created_by)s
)
RETURNING {rule};

-- name: replace_approval_rule
-- Insert the next version, if the version in force is the one that the caller read. The rule's app and user stay.
WITH seen AS (
    UPDATE approval_rules
    SET retired_at = now()
    WHERE id = %(rule_id)s AND version = %(version)s AND retired_at IS NULL
    RETURNING id, version, app_id, user_id
)
INSERT INTO approval_rules (
    id, version, app_id, user_id, effect, tool_kind, path_pattern, command_pattern, note, created_by
)
SELECT
    seen.id, seen.version + 1, seen.app_id, seen.user_id, %(effect)s, %(tool_kind)s, %(path_pattern)s,
    %(command_pattern)s, %(note)s, %(created_by)s
FROM seen
RETURNING {rule};

-- name: retire_approval_rule
UPDATE approval_rules
SET retired_at = now()
WHERE id = %(rule_id)s AND retired_at IS NULL AND (%(version)s::integer IS NULL OR version = %(version)s);

-- name: approval_rule
-- The given version of a rule, or its newest one.
SELECT {rule}
FROM approval_rules
WHERE id = %(rule_id)s AND (%(version)s::integer IS NULL OR version = %(version)s)
ORDER BY version DESC
LIMIT 1;

-- name: approval_rules_seen
-- Those in force that the user may see, newest first: their own and those for everyone, or (`all`) every one.
SELECT {rule}
FROM approval_rules
WHERE retired_at IS NULL
    AND (%(all)s::boolean OR user_id IS NULL OR user_id = %(user_id)s)
    AND (%(app_id)s::uuid IS NULL OR app_id = %(app_id)s)
    AND (%(before_at)s::timestamptz IS NULL OR (created_at, id) < (%(before_at)s, %(before_id)s::uuid))
ORDER BY created_at DESC, id DESC
LIMIT %(limit)s;

-- name: approval_rules_of_run
SELECT {rule}
FROM approval_rules
WHERE retired_at IS NULL
    AND (app_id IS NULL OR app_id = %(app_id)s)
    AND (user_id IS NULL OR user_id = %(user_id)s)
ORDER BY created_at, id;

-- name: some_rule_restricts
-- Whether a rule that denies or asks may concern a run of this app and user.
SELECT EXISTS (
    SELECT 1
    FROM approval_rules
    WHERE retired_at IS NULL
        AND effect IN ('deny', 'ask')
        AND (app_id IS NULL OR app_id = %(app_id)s)
        AND (user_id IS NULL OR user_id = %(user_id)s)
);

-- name: approval_rules_of_user
SELECT count(*)::integer FROM approval_rules WHERE user_id = %(user_id)s AND retired_at IS NULL;

-- name: approval_rules_of_nobody
SELECT count(*)::integer
FROM approval_rules
WHERE user_id IS NULL AND app_id IS NOT DISTINCT FROM %(app_id)s AND retired_at IS NULL;
