-- fragment: file_policy
    id, effect, pattern, root, app_id, role, user_id, reason, created_at

-- name: file_policies_of_reader
-- All policies that may decide about files of a session of this app for this user.
SELECT {file_policy}
FROM file_policies
WHERE (app_id IS NULL OR app_id = %(app_id)s)
    AND (role IS NULL OR role = %(role)s)
    AND (user_id IS NULL OR user_id = %(user_id)s);

-- name: file_policies_page
-- Newest first.
SELECT {file_policy}
FROM file_policies
WHERE %(before_at)s::timestamptz IS NULL
    OR (created_at, id) < (%(before_at)s::timestamptz, %(before_id)s::uuid)
ORDER BY created_at DESC, id DESC
LIMIT %(limit)s;

-- name: lock_file_policies
-- Serializes changes, so that the count below holds.
SELECT pg_advisory_xact_lock(hashtext('runyard.file_policies'));

-- name: set_file_policy
-- One for the same readers, root and pattern is replaced. No row when there are too many already.
INSERT INTO file_policies (effect, pattern, root, app_id, role, user_id, reason)
SELECT %(effect)s, %(pattern)s, %(root)s, %(app_id)s, %(role)s, %(user_id)s, %(reason)s
WHERE (SELECT count(*) FROM file_policies) < %(most)s
    OR EXISTS (
        SELECT 1 FROM file_policies
        WHERE pattern = %(pattern)s
            AND root IS NOT DISTINCT FROM %(root)s
            AND app_id IS NOT DISTINCT FROM %(app_id)s
            AND role IS NOT DISTINCT FROM %(role)s
            AND user_id IS NOT DISTINCT FROM %(user_id)s
    )
ON CONFLICT ON CONSTRAINT file_policies_once DO UPDATE SET effect = EXCLUDED.effect, reason = EXCLUDED.reason
RETURNING {file_policy};

-- name: delete_file_policy
DELETE FROM file_policies WHERE id = %(policy_id)s RETURNING {file_policy};
