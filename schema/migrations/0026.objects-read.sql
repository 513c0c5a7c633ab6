-- depends: 0025.parts-that-runs-need
-- When each stored object was last read in full, and what was wrong with it.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- Only objects that snapshots name have a row, and only once they were read. `fault` is null while the bytes are right.
CREATE TABLE object_reads (
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    key text NOT NULL CHECK (length(key) <= 300),
    read_at timestamptz NOT NULL DEFAULT now(),
    fault text CHECK (fault IN ('missing', 'altered', 'unreadable')),
    found_at timestamptz,
    PRIMARY KEY (session_id, key),
    CONSTRAINT object_reads_fault_has_a_time CHECK ((fault IS NULL) = (found_at IS NULL))
);
CREATE INDEX object_reads_faults ON object_reads (session_id) WHERE fault IS NOT NULL;
