-- name: defer_job
-- procrastinate's own function, so that a job is enqueued in the transaction that needs it.
SELECT procrastinate_defer_jobs_v1(
    ARRAY[
        ROW(
            %(queue)s, %(task)s, %(priority)s, NULL, NULL, %(args)s,
            CASE WHEN %(delay_seconds)s > 0 THEN now() + make_interval(secs => %(delay_seconds)s) END
        )::procrastinate_job_to_defer_v1
    ]
);

-- name: insert_operation
INSERT INTO operations (kind, arguments, requested_by) VALUES (%(kind)s, %(arguments)s, %(requested_by)s)
RETURNING id;

-- name: operation
SELECT id, kind, arguments, result, error, created_at, finished_at FROM operations WHERE id = %(operation_id)s;

-- name: finish_operation
UPDATE operations
SET result = %(result)s, error = %(error)s, finished_at = now()
WHERE id = %(operation_id)s AND finished_at IS NULL;

-- name: forget_operation
DELETE FROM operations WHERE id = %(operation_id)s AND finished_at IS NOT NULL;

-- name: part_seen
-- Record that a part of the control plane is healthy. After a gap of over `break_seconds` its health starts anew.
INSERT INTO control_plane_parts (part) VALUES (%(part)s)
ON CONFLICT (part) DO UPDATE
SET seen_at = now(),
    well_since = CASE
        WHEN control_plane_parts.seen_at < now() - make_interval(secs => %(break_seconds)s) THEN now()
        ELSE control_plane_parts.well_since
    END;

-- name: well_for_seconds
-- How long every part has been healthy without a gap; null when a part was not seen lately.
SELECT CASE
    WHEN bool_and(seen_at > now() - make_interval(secs => %(break_seconds)s))
    THEN extract(epoch FROM now() - max(well_since))::double precision
END
FROM control_plane_parts;

-- name: seconds_since_seen
SELECT extract(epoch FROM now() - seen_at)::double precision FROM control_plane_parts WHERE part = %(part)s;

-- name: need_a_megabyte
-- Make the server write about a megabyte into a temporary file, which it does when work_mem is small.
SELECT count(number) FROM generate_series(1, 75000) AS number;

-- name: backend_pid
-- The process of the server that serves this query.
SELECT pg_backend_pid();

-- name: applied_migrations
SELECT migration_id FROM _yoyo_migration;
