-- name: token_holder
-- `is_due` once a minute, when the time of the last use has to be written down.
SELECT users.id, users.name, users.role, access_tokens.id AS token_id, access_tokens.scopes, access_tokens.expires_at,
    access_tokens.last_used_at IS NULL OR access_tokens.last_used_at < now() - interval '1 minute' AS is_due
FROM access_tokens
JOIN users ON users.id = access_tokens.user_id
WHERE access_tokens.digest = %(digest)s
    AND access_tokens.revoked_at IS NULL
    AND (access_tokens.expires_at IS NULL OR access_tokens.expires_at > now())
    AND users.disabled_at IS NULL;

-- name: note_token_use
UPDATE access_tokens SET last_used_at = now()
WHERE id = %(token_id)s AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute');

-- name: signed_in_user
-- A sign-in by token ends with its token, and has no more scopes than it.
SELECT users.id, users.name, users.role, sign_ins.method, sign_ins.expires_at, access_tokens.scopes,
    sign_ins.last_used_at < now() - interval '1 minute' AS is_due
FROM sign_ins
JOIN users ON users.id = sign_ins.user_id
LEFT JOIN access_tokens ON access_tokens.id = sign_ins.token_id
WHERE sign_ins.id = %(sign_in_id)s
    AND sign_ins.ended_at IS NULL
    AND sign_ins.expires_at > now()
    AND users.disabled_at IS NULL
    AND (
        sign_ins.token_id IS NULL
        OR access_tokens.revoked_at IS NULL
        AND (access_tokens.expires_at IS NULL OR access_tokens.expires_at > now())
    );

-- name: note_sign_in_use
UPDATE sign_ins SET last_used_at = now()
WHERE id = %(sign_in_id)s AND last_used_at < now() - interval '1 minute';

-- fragment: sign_in
    sign_ins.id, sign_ins.method, sign_ins.user_agent, sign_ins.created_at, sign_ins.last_used_at, sign_ins.expires_at

-- name: insert_sign_in
INSERT INTO sign_ins (user_id, method, token_id, user_agent, expires_at)
VALUES (
    %(user_id)s, %(method)s, %(token_id)s, %(user_agent)s,
    LEAST(
        now() + make_interval(days => %(days)s),
        (SELECT access_tokens.expires_at FROM access_tokens WHERE access_tokens.id = %(token_id)s)
    )
)
RETURNING {sign_in};

-- name: sign_ins_of
SELECT {sign_in}
FROM sign_ins
LEFT JOIN access_tokens ON access_tokens.id = sign_ins.token_id
WHERE sign_ins.user_id = %(user_id)s
    AND sign_ins.ended_at IS NULL
    AND sign_ins.expires_at > now()
    AND (sign_ins.token_id IS NULL OR access_tokens.revoked_at IS NULL)
    AND (
        %(before_at)s::timestamptz IS NULL
        OR (sign_ins.created_at, sign_ins.id) < (%(before_at)s, %(before_id)s::uuid)
    )
ORDER BY sign_ins.created_at DESC, sign_ins.id DESC
LIMIT %(limit)s;

-- name: end_sign_in
UPDATE sign_ins SET ended_at = now()
WHERE id = %(sign_in_id)s AND user_id = %(user_id)s AND ended_at IS NULL AND expires_at > now()
RETURNING {sign_in};

-- name: end_sign_ins_of
UPDATE sign_ins SET ended_at = now() WHERE user_id = %(user_id)s AND ended_at IS NULL;

-- name: notify_revoked
SELECT pg_notify('runyard_revoked', %(user_id)s::uuid::text);

-- name: streams_to_end
-- Of the pairs of a credential (a sign-in's id or a token's) and a session or null, those that may be read no more.
SELECT open.credential_id, open.session_id, COALESCE(holder.is_good, false) AS is_signed_in
FROM unnest(%(credential_ids)s::uuid[], %(session_ids)s::uuid[]) AS open (credential_id, session_id)
LEFT JOIN sign_ins ON sign_ins.id = open.credential_id
LEFT JOIN access_tokens ON access_tokens.id = COALESCE(sign_ins.token_id, open.credential_id)
LEFT JOIN users ON users.id = COALESCE(sign_ins.user_id, access_tokens.user_id)
CROSS JOIN LATERAL (
    SELECT
        users.id IS NOT NULL
        AND users.disabled_at IS NULL
        AND (sign_ins.id IS NULL OR (sign_ins.ended_at IS NULL AND sign_ins.expires_at > now()))
        AND (
            access_tokens.id IS NULL
            OR (
                access_tokens.revoked_at IS NULL
                AND (access_tokens.expires_at IS NULL OR access_tokens.expires_at > now())
            )
        ) AS is_good
) AS holder
LEFT JOIN sessions ON sessions.id = open.session_id
WHERE NOT holder.is_good
    OR (
        open.session_id IS NOT NULL
        AND (
            sessions.id IS NULL
            OR sessions.deleted_at IS NOT NULL
            OR (sessions.owner_id <> users.id AND users.role <> 'admin')
        )
    );

-- name: user_settings
SELECT settings FROM users WHERE id = %(user_id)s;

-- name: merge_user_settings
-- Keys that are null are removed.
UPDATE users SET settings = jsonb_strip_nulls(settings || %(settings)s)
WHERE id = %(user_id)s
RETURNING settings;

-- name: lock_user
SELECT id FROM users WHERE id = %(user_id)s FOR UPDATE;

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

-- fragment: token
    access_tokens.id, access_tokens.label, access_tokens.scopes, access_tokens.created_at, access_tokens.last_used_at,
    access_tokens.expires_at, access_tokens.revoked_at

-- name: tokens_of
SELECT {token} FROM access_tokens WHERE user_id = %(user_id)s ORDER BY created_at, digest;

-- name: usable_tokens_of
-- A page, the newest first; without those that are revoked or have expired.
SELECT {token}
FROM access_tokens
WHERE access_tokens.user_id = %(user_id)s
    AND access_tokens.revoked_at IS NULL
    AND (access_tokens.expires_at IS NULL OR access_tokens.expires_at > now())
    AND (
        %(before_at)s::timestamptz IS NULL
        OR (access_tokens.created_at, access_tokens.id) < (%(before_at)s, %(before_id)s::uuid)
    )
ORDER BY access_tokens.created_at DESC, access_tokens.id DESC
LIMIT %(limit)s;

-- name: count_usable_tokens_of
SELECT count(*)
FROM access_tokens
WHERE user_id = %(user_id)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now());

-- name: revoke_tokens
UPDATE access_tokens SET revoked_at = COALESCE(revoked_at, now()) WHERE user_id = %(user_id)s AND label = %(label)s
RETURNING {token};

-- name: revoke_token
UPDATE access_tokens SET revoked_at = now()
WHERE id = %(token_id)s AND user_id = %(user_id)s AND revoked_at IS NULL
RETURNING {token};

-- name: insert_token
-- No row when the token is known already.
INSERT INTO access_tokens (digest, user_id, label, scopes, expires_at)
VALUES (
    %(digest)s, %(user_id)s, %(label)s, %(scopes)s::text[],
    now() + make_interval(secs => %(seconds)s::double precision)
)
ON CONFLICT (digest) DO NOTHING
RETURNING {token};

-- fragment: app
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

-- name: workers_with_other_key
-- Session workers whose executor may run with a token of none of these keys.
SELECT session_id, host
FROM session_workers
WHERE key_id <> ALL(%(key_ids)s) AND status IN ('starting', 'active', 'stopping', 'lost')
ORDER BY session_id;

-- name: bound_runs_with_other_key
SELECT id
FROM runs
WHERE key_id <> ALL(%(key_ids)s) AND bound AND finished_at IS NULL
ORDER BY id;

-- name: forget_worker_keys
UPDATE session_workers SET key_id = NULL WHERE session_id = ANY(%(session_ids)s);

-- name: forget_bound_run_keys
UPDATE runs SET key_id = NULL WHERE id = ANY(%(run_ids)s);
