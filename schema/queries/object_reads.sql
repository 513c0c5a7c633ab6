-- name: sessions_to_look_at
-- Sessions whose objects were not counted for a day, those that waited longest first: at most the share of a pass, so
-- that each is counted once a day. The share is doubled, because passes may be missed.
SELECT session_workers.session_id
FROM session_workers
LEFT JOIN object_looks AS look ON look.session_id = session_workers.session_id
WHERE session_workers.sync_claim > 0 AND (look.looked_at IS NULL OR look.looked_at <= now() - interval '1 day')
ORDER BY look.looked_at NULLS FIRST, session_workers.session_id
LIMIT (
    SELECT ceil(count(*) * %(pass_seconds)s::double precision * 2 / 86400)::bigint
    FROM session_workers WHERE session_workers.sync_claim > 0
);

-- name: look_at_objects
-- Count the objects of a session, and note when the one that waits longest was read or first named.
INSERT INTO object_looks AS known (session_id, objects, oldest_at)
SELECT %(session_id)s, count(*), min(COALESCE(object_reads.read_at, named.named_at))
FROM (
    SELECT object.key, min(snapshots.created_at) AS named_at
    FROM snapshots
    CROSS JOIN LATERAL unnest(snapshots.objects) AS object (key)
    WHERE snapshots.session_id = %(session_id)s
    GROUP BY object.key
) AS named
LEFT JOIN object_reads ON object_reads.session_id = %(session_id)s AND object_reads.key = named.key
WHERE EXISTS (SELECT 1 FROM sessions WHERE sessions.id = %(session_id)s)
ON CONFLICT (session_id) DO UPDATE
SET objects = excluded.objects, oldest_at = excluded.oldest_at, looked_at = now();

-- name: share_of_pass
-- How many objects a pass must read at most, so that all are read within a quarter of `days` once they are due.
SELECT ceil(
    sum(objects)::double precision * %(pass_seconds)s::double precision / (%(days)s::double precision * 86400 / 4)
)::bigint
FROM object_looks;

-- name: session_to_read
-- The session with the object that waits longest, when that was not read for half of `days`.
SELECT session_id
FROM object_looks
WHERE oldest_at <= now() - make_interval(secs => %(days)s::double precision * 86400 / 2)
ORDER BY oldest_at, session_id
LIMIT 1;

-- name: objects_to_read
-- The objects of a session that were not read for half of `days`, those that waited longest first.
SELECT
    %(session_id)s::uuid AS session_id, named.key,
    (
        SELECT snapshots.manifest_digest FROM snapshots
        WHERE snapshots.session_id = %(session_id)s
            AND named.key = 'sessions/' || snapshots.session_id || '/snapshots/' || snapshots.id
    ) AS manifest_digest
FROM (
    SELECT named.key, COALESCE(object_reads.read_at, named.named_at) AS since
    FROM (
        SELECT object.key, min(snapshots.created_at) AS named_at
        FROM snapshots
        CROSS JOIN LATERAL unnest(snapshots.objects) AS object (key)
        WHERE snapshots.session_id = %(session_id)s
        GROUP BY object.key
    ) AS named
    LEFT JOIN object_reads ON object_reads.session_id = %(session_id)s AND object_reads.key = named.key
    WHERE COALESCE(object_reads.read_at, named.named_at)
        <= now() - make_interval(secs => %(days)s::double precision * 86400 / 2)
    ORDER BY since, named.key
    LIMIT %(limit)s
) AS named
ORDER BY named.since, named.key;

-- name: faulty_objects_to_read
-- The objects with a fault that were not read for an hour, and that a snapshot still names.
SELECT
    known.session_id, known.key,
    (
        SELECT snapshots.manifest_digest FROM snapshots
        WHERE snapshots.session_id = known.session_id
            AND known.key = 'sessions/' || snapshots.session_id || '/snapshots/' || snapshots.id
    ) AS manifest_digest
FROM object_reads AS known
WHERE known.fault IS NOT NULL
    AND known.read_at <= now() - interval '1 hour'
    AND EXISTS (
        SELECT 1 FROM snapshots
        WHERE snapshots.session_id = known.session_id AND known.key = ANY (snapshots.objects)
    )
ORDER BY known.read_at, known.key;

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
