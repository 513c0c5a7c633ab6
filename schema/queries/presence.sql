-- name: renew_presence
WITH forgotten AS (
    DELETE FROM presence_processes WHERE expires_at < now() - interval '1 minute' AND id <> %(process_id)s
)
INSERT INTO presence_processes (id, expires_at)
VALUES (%(process_id)s, now() + make_interval(secs => %(lease_seconds)s))
ON CONFLICT (id) DO UPDATE SET expires_at = EXCLUDED.expires_at
RETURNING
    xmax = 0 AS is_new,
    EXISTS (
        SELECT FROM presence_processes AS others WHERE others.id <> %(process_id)s AND others.expires_at > now()
    ) AS has_others;

-- name: enter_sessions
INSERT INTO session_readers (session_id, user_id, process_id)
SELECT entered.session_id, entered.user_id, %(process_id)s
FROM unnest(%(session_ids)s::uuid[], %(user_ids)s::uuid[]) AS entered (session_id, user_id)
ON CONFLICT DO NOTHING;

-- name: leave_sessions
DELETE FROM session_readers
USING unnest(%(session_ids)s::uuid[], %(user_ids)s::uuid[]) AS gone (session_id, user_id)
WHERE session_readers.session_id = gone.session_id
    AND session_readers.user_id = gone.user_id
    AND session_readers.process_id = %(process_id)s;

-- name: readers_elsewhere
SELECT DISTINCT readers.session_id, users.id AS user_id, users.name
FROM session_readers AS readers
JOIN presence_processes AS processes ON processes.id = readers.process_id AND processes.expires_at > now()
JOIN users ON users.id = readers.user_id
WHERE readers.session_id = ANY(%(session_ids)s::uuid[]) AND readers.process_id <> %(process_id)s;

-- name: end_presence
DELETE FROM presence_processes WHERE id = %(process_id)s;
