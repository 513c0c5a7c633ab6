-- name: user_by_token
SELECT users.id, users.name, users.role, users.created_at, users.disabled_at
FROM access_tokens
JOIN users ON users.id = access_tokens.user_id
WHERE access_tokens.digest = %(digest)s AND access_tokens.revoked_at IS NULL AND users.disabled_at IS NULL;

-- name: user_by_id
SELECT id, name, role, created_at, disabled_at FROM users WHERE id = %(user_id)s;

-- name: user_by_name
SELECT id, name, role, created_at, disabled_at FROM users WHERE name = %(name)s;

-- name: users
SELECT id, name, role, created_at, disabled_at FROM users ORDER BY name;

-- name: insert_user
INSERT INTO users (name, role) VALUES (%(name)s, %(role)s)
ON CONFLICT (name) DO NOTHING
RETURNING id, name, role, created_at, disabled_at;

-- name: disable_user
UPDATE users SET disabled_at = COALESCE(disabled_at, now()) WHERE name = %(name)s
RETURNING id, name, role, created_at, disabled_at;

-- name: enable_user
UPDATE users SET disabled_at = NULL WHERE name = %(name)s
RETURNING id, name, role, created_at, disabled_at;

-- name: tokens_of
SELECT label, created_at, revoked_at FROM access_tokens WHERE user_id = %(user_id)s ORDER BY created_at, digest;

-- name: revoke_tokens
UPDATE access_tokens SET revoked_at = COALESCE(revoked_at, now()) WHERE user_id = %(user_id)s AND label = %(label)s
RETURNING label, created_at, revoked_at;

-- name: insert_token
INSERT INTO access_tokens (digest, user_id, label) VALUES (%(digest)s, %(user_id)s, %(label)s)
ON CONFLICT (digest) DO NOTHING;

-- columns: app
    id, name, version, provider, options, manifest, limits, human_loop, created_at, updated_at

-- name: apps
SELECT {app}
FROM apps
WHERE archived_at IS NULL
ORDER BY name;

-- name: app_by_id
SELECT {app}
FROM apps
WHERE id = %(app_id)s AND archived_at IS NULL;

-- name: app_by_name
SELECT {app}
FROM apps
WHERE name = %(name)s AND archived_at IS NULL;

-- name: insert_app
INSERT INTO apps (name, provider, options, manifest, limits, human_loop)
VALUES (%(name)s, %(provider)s, %(options)s, %(manifest)s, %(limits)s, %(human_loop)s)
ON CONFLICT (name) DO NOTHING
RETURNING {app};

-- name: update_app
UPDATE apps
SET provider = COALESCE(%(provider)s, provider),
    options = COALESCE(%(options)s, options),
    manifest = COALESCE(%(manifest)s, manifest),
    limits = COALESCE(%(limits)s, limits),
    human_loop = COALESCE(%(human_loop)s, human_loop),
    version = version + 1,
    updated_at = now()
WHERE name = %(name)s AND archived_at IS NULL
RETURNING {app};
