-- name: insert_upload
-- No row when the session's uploads that no snapshot holds yet would be too many. The caller holds the session.
INSERT INTO uploads (session_id, user_id, path, mime_type, size, content)
SELECT %(session_id)s, %(user_id)s, %(path)s, %(mime_type)s, %(size)s::bigint, %(content)s
FROM uploads
WHERE session_id = %(session_id)s AND content IS NOT NULL
HAVING count(*) < %(most)s AND COALESCE(sum(size), 0) + %(size)s::bigint <= %(most_bytes)s
RETURNING id, session_id, path, mime_type, size;

-- name: uploads_to_place
-- Uploads that the volume of this epoch does not hold yet, the oldest first.
SELECT id, path FROM uploads
WHERE session_id = %(session_id)s AND content IS NOT NULL AND placed_epoch IS DISTINCT FROM %(epoch)s
ORDER BY created_at, id;

-- name: upload_content
SELECT content FROM uploads WHERE id = %(id)s;

-- name: mark_upload_placed
-- No row when it is marked already.
UPDATE uploads SET placed_epoch = %(epoch)s, placed_seq = %(seq)s
WHERE id = %(id)s AND placed_epoch IS DISTINCT FROM %(epoch)s
RETURNING id, session_id, path, mime_type, size;

-- name: uploads_to_forget
-- Uploads that were in the workspace before the scan of a committed save began, and whose bytes are still kept.
SELECT id, path FROM uploads
WHERE session_id = %(session_id)s AND content IS NOT NULL AND placed_epoch = %(epoch)s AND placed_seq <= %(seq)s;

-- name: forget_uploads
UPDATE uploads SET content = NULL WHERE id = ANY (%(ids)s);

-- name: uploads_by_path
SELECT id, session_id, path, mime_type, size FROM uploads
WHERE session_id = %(session_id)s AND path = ANY (%(paths)s);

-- name: insert_attachments
INSERT INTO run_attachments (run_id, position, upload_id)
SELECT %(run_id)s, named.position, named.id
FROM unnest(%(upload_ids)s::uuid[]) WITH ORDINALITY AS named (id, position);

-- name: attachments_of_run
SELECT uploads.id, uploads.session_id, uploads.path, uploads.mime_type, uploads.size
FROM run_attachments
JOIN uploads ON uploads.id = run_attachments.upload_id
WHERE run_attachments.run_id = %(run_id)s
ORDER BY run_attachments.position;

-- name: mark_changed
-- From the session's next event on, the volume of an active worker holds unsaved changes that no run made; they are due
-- for a save at once. The caller holds the session.
UPDATE session_workers
SET dirty_since = COALESCE(session_workers.dirty_since, now()),
    dirty_seq = session_logs.last_seq + 1,
    next_sync_at = LEAST(session_workers.next_sync_at, now())
FROM session_logs
WHERE session_workers.session_id = %(session_id)s
    AND session_logs.session_id = session_workers.session_id
    AND session_workers.status <> 'absent';
