-- name: newest_snapshot
SELECT
    id, session_id, number, epoch, run_id, reason, seq, at_rest, files, bytes, changed, uploaded_bytes, skipped, objects,
    manifest_digest, created_at
FROM snapshots
WHERE session_id = %(session_id)s
ORDER BY number DESC
LIMIT 1;

-- name: snapshot_of_run
-- The first quiesced snapshot after the run's end, which may be an earlier run's that a save then found unchanged; else
-- the last one of the run. Later saves of what people put into the workspace are not the run's.
SELECT
    snapshots.id, snapshots.session_id, snapshots.number, snapshots.epoch, snapshots.run_id, snapshots.reason,
    snapshots.seq, snapshots.at_rest, snapshots.files, snapshots.bytes, snapshots.changed, snapshots.uploaded_bytes,
    snapshots.skipped, snapshots.objects, snapshots.manifest_digest, snapshots.created_at
FROM snapshots
JOIN runs ON runs.id = %(run_id)s AND runs.session_id = snapshots.session_id
LEFT JOIN runs AS maker ON maker.id = snapshots.run_id
CROSS JOIN LATERAL (
    SELECT snapshots.at_rest AND snapshots.seq >= max(span.last_seq) AS is_end
    FROM run_spans AS span
    WHERE span.run_id = runs.id
) AS state
WHERE snapshots.session_id = %(session_id)s
    AND (
        snapshots.run_id = runs.id
        OR ((snapshots.created_at <= runs.finished_at OR maker.finished_at < runs.finished_at) AND state.is_end)
    )
ORDER BY
    COALESCE(state.is_end, false) DESC,
    CASE WHEN state.is_end THEN snapshots.number END,
    snapshots.run_id IS NOT DISTINCT FROM runs.id DESC,
    snapshots.number DESC
LIMIT 1;

-- name: holds_run_end
-- Whether the snapshot holds what the run left at its end.
SELECT head.at_rest AND runs.finished_at IS NOT NULL AND head.seq >= span.last_seq AS is_end
FROM snapshots AS head
JOIN runs ON runs.id = %(run_id)s AND runs.session_id = head.session_id
JOIN run_spans AS span ON span.run_id = runs.id
WHERE head.id = %(snapshot_id)s;

-- name: session_folders
-- A user's sessions in the order of their ids, after one of them.
SELECT id, title, updated_at
FROM sessions
WHERE owner_id = %(user_id)s
    AND deleted_at IS NULL
    AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
ORDER BY id
LIMIT %(limit)s;

-- name: insert_file_audit
INSERT INTO file_audit (user_id, action, session_id, snapshot_id, root, path, files, bytes, allowed, reason)
VALUES (
    %(user_id)s, %(action)s, %(session_id)s, %(snapshot_id)s, %(root)s, %(path)s, %(files)s, %(bytes)s, %(allowed)s,
    %(reason)s
);

-- name: file_audit_page
-- Newest first.
SELECT
    file_audit.id, file_audit.at, file_audit.user_id, users.name AS user_name, file_audit.action, file_audit.session_id,
    file_audit.snapshot_id, file_audit.root, file_audit.path, file_audit.files, file_audit.bytes, file_audit.allowed,
    file_audit.reason
FROM file_audit
LEFT JOIN users ON users.id = file_audit.user_id
WHERE (%(user_id)s::uuid IS NULL OR file_audit.user_id = %(user_id)s::uuid)
    AND (%(session_id)s::uuid IS NULL OR file_audit.session_id = %(session_id)s::uuid)
    AND (%(action)s::text IS NULL OR file_audit.action = %(action)s::text)
    AND (%(allowed)s::boolean IS NULL OR file_audit.allowed = %(allowed)s::boolean)
    AND (%(text)s::text IS NULL OR strpos(lower(file_audit.path), lower(%(text)s::text)) > 0)
    AND (%(since)s::timestamptz IS NULL OR file_audit.at >= %(since)s::timestamptz)
    AND (%(until)s::timestamptz IS NULL OR file_audit.at < %(until)s::timestamptz)
    AND (
        %(before_at)s::timestamptz IS NULL
        OR (file_audit.at, file_audit.id) < (%(before_at)s::timestamptz, %(before_id)s::uuid)
    )
ORDER BY file_audit.at DESC, file_audit.id DESC
LIMIT %(limit)s;

-- name: delete_old_file_audit
SELECT delete_old_file_audit(%(days)s, %(most)s);

-- name: has_live_files
SELECT EXISTS (
    SELECT 1 FROM session_workers
    WHERE session_id = %(session_id)s AND status = 'active' AND restored_at IS NOT NULL
);

-- name: has_unsaved_files
SELECT EXISTS (
    SELECT 1 FROM session_workers
    WHERE session_id = %(session_id)s AND status = 'active' AND restored_at IS NOT NULL AND dirty_since IS NOT NULL
);
