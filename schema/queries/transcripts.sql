-- name: transcript_head
SELECT seq, state FROM session_transcripts WHERE session_id = %(session_id)s AND version = %(version)s;

-- name: lock_transcript
-- The row is there, whoever made it; no row while another job worker folds the log.
SELECT seq, state, version
FROM session_transcripts
WHERE session_id = %(session_id)s
FOR UPDATE SKIP LOCKED;

-- name: begin_transcript
INSERT INTO session_transcripts (session_id, version, state) VALUES (%(session_id)s, %(version)s, %(state)s)
ON CONFLICT (session_id) DO NOTHING;

-- name: drop_transcript_items
DELETE FROM transcript_items WHERE session_id = %(session_id)s;

-- name: move_transcript
UPDATE session_transcripts
SET seq = %(seq)s, state = %(state)s, version = %(version)s
WHERE session_id = %(session_id)s;

-- name: mark_runs_folded
UPDATE runs
SET is_folded = true
WHERE session_id = %(session_id)s
    AND finished_at IS NOT NULL
    AND NOT is_folded
    AND COALESCE(last_seq, 0) <= %(seq)s;

-- name: put_transcript_items
INSERT INTO transcript_items (session_id, first_seq, id_digest, is_open, item)
SELECT %(session_id)s, entry.first_seq, entry.id_digest, entry.is_open, entry.item
FROM
    unnest(%(first_seqs)s::bigint[], %(digests)s::bytea[], %(are_open)s::boolean[], %(items)s::jsonb[])
    AS entry (first_seq, id_digest, is_open, item)
ON CONFLICT (session_id, first_seq) DO UPDATE SET is_open = excluded.is_open, item = excluded.item;

-- name: transcript_items_needed
SELECT item
FROM transcript_items
WHERE session_id = %(session_id)s AND (is_open OR id_digest = ANY (%(digests)s::bytea[]));

-- name: transcript_items_before
SELECT item
FROM transcript_items
WHERE session_id = %(session_id)s AND first_seq < %(before)s
ORDER BY first_seq DESC
LIMIT %(limit)s;

-- name: unfolded_sessions
-- Sessions with an ended run that is not folded, with a live run that is far ahead, or folded by an older version.
(
    SELECT DISTINCT session_id
    FROM runs
    WHERE finished_at IS NOT NULL AND NOT is_folded
    LIMIT %(limit)s
)
UNION
(
    SELECT log.session_id
    FROM session_logs AS log
    LEFT JOIN session_transcripts AS transcript ON transcript.session_id = log.session_id
    WHERE log.run_id IS NOT NULL AND log.last_seq - COALESCE(transcript.seq, 0) > %(ahead)s
    LIMIT %(limit)s
)
UNION
(
    SELECT session_id FROM session_transcripts WHERE version < %(version)s LIMIT %(limit)s
);

-- name: user_names
SELECT id, name FROM users WHERE id = ANY (%(user_ids)s::uuid[]);
