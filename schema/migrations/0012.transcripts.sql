-- depends: 0011.session-list
-- Logs folded for reading: the items of each session's transcript, up to an event.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- How far a log is folded, by which version of the fold, and what continuing needs besides the items.
CREATE TABLE session_transcripts (
    session_id uuid PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    version integer NOT NULL,
    seq bigint NOT NULL DEFAULT 0 CONSTRAINT session_transcripts_seq_natural CHECK (seq >= 0),
    state jsonb NOT NULL
);
CREATE INDEX session_transcripts_version ON session_transcripts (version);

CREATE TABLE transcript_items (
    session_id uuid NOT NULL REFERENCES session_transcripts (session_id) ON DELETE CASCADE,
    first_seq bigint NOT NULL,
    -- of the id, whose length is an agent's choice
    id_digest bytea NOT NULL CONSTRAINT transcript_items_id_digest_is_sha256 CHECK (length(id_digest) = 32),
    is_open boolean NOT NULL,
    item jsonb NOT NULL,
    PRIMARY KEY (session_id, first_seq)
);
CREATE UNIQUE INDEX transcript_items_id ON transcript_items (session_id, id_digest);
CREATE INDEX transcript_items_open ON transcript_items (session_id) WHERE is_open;

-- Ended runs whose events wait to be folded.
ALTER TABLE runs ADD COLUMN is_folded boolean NOT NULL DEFAULT false;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX runs_unfolded ON runs (session_id) WHERE finished_at IS NOT NULL AND NOT is_folded;
