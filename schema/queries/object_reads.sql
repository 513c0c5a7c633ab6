-- name: objects_to_read
-- The objects that were not read for half of `days`, those that waited longest first: of all objects at most the share
-- that this pass must read, so that all are read within three quarters of `days`. Those with a fault are read each hour.
-- The names are counted a session at a time: those of all sessions at once would not fit into memory.
WITH named AS MATERIALIZED (
    SELECT session.session_id, named.key, named.named_at
    FROM (SELECT DISTINCT snapshots.session_id FROM snapshots) AS session
    CROSS JOIN LATERAL (
        SELECT object.key, min(snapshots.created_at) AS named_at
        FROM snapshots
        CROSS JOIN LATERAL unnest(snapshots.objects) AS object (key)
        WHERE snapshots.session_id = session.session_id
        GROUP BY object.key
    ) AS named
), waiting AS (
    SELECT
        named.session_id, named.key, object_reads.fault, object_reads.read_at,
        COALESCE(object_reads.read_at, named.named_at) AS since,
        row_number() OVER (ORDER BY COALESCE(object_reads.read_at, named.named_at), named.key) AS place,
        count(*) OVER () AS total
    FROM named
    LEFT JOIN object_reads ON object_reads.session_id = named.session_id AND object_reads.key = named.key
)
SELECT
    waiting.session_id, waiting.key,
    (
        SELECT snapshots.manifest_digest FROM snapshots
        WHERE snapshots.session_id = waiting.session_id
            AND waiting.key = 'sessions/' || snapshots.session_id || '/snapshots/' || snapshots.id
    ) AS manifest_digest
FROM waiting
WHERE (
        since <= now() - make_interval(secs => %(days)s::double precision * 86400 / 2)
        AND place <= ceil(total * %(pass_seconds)s::double precision / (%(days)s::double precision * 86400 / 4))
    )
    OR (fault IS NOT NULL AND read_at <= now() - interval '1 hour')
ORDER BY place;

-- name: record_object_read
-- Record a read of an object that a snapshot still names, and return whether a fault is new.
INSERT INTO object_reads AS known (session_id, key, fault, found_at)
SELECT %(session_id)s, %(key)s, %(fault)s, CASE WHEN %(fault)s::text IS NOT NULL THEN now() END
WHERE EXISTS (
    SELECT 1 FROM snapshots WHERE snapshots.session_id = %(session_id)s AND %(key)s = ANY (snapshots.objects)
)
ON CONFLICT (session_id, key) DO UPDATE
SET read_at = now(),
    fault = excluded.fault,
    found_at = CASE WHEN excluded.fault IS NOT NULL THEN COALESCE(known.found_at, excluded.found_at) END
RETURNING found_at = now() AS is_new;

-- name: forget_object_reads
-- Objects of a session that no snapshot names any more. The names are unnested first: for each object to search all
-- snapshots takes many times as long.
WITH named AS MATERIALIZED (
    SELECT DISTINCT object.key
    FROM snapshots
    CROSS JOIN LATERAL unnest(snapshots.objects) AS object (key)
    WHERE snapshots.session_id = %(session_id)s
)
DELETE FROM object_reads AS known
WHERE known.session_id = %(session_id)s AND NOT EXISTS (SELECT 1 FROM named WHERE named.key = known.key);

-- name: snapshots_that_name
SELECT number FROM snapshots
WHERE session_id = %(session_id)s AND objects && %(keys)s::text[]
ORDER BY number;

-- name: faulty_objects
-- The objects with a fault: how many, of how many sessions, and the first.
SELECT count(*) AS objects, count(DISTINCT session_id) AS sessions, min(key) AS first_key
FROM object_reads
WHERE fault IS NOT NULL;
