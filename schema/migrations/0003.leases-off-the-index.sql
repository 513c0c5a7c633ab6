-- depends: 0002.spine
-- Every callback extends a lease and raises last_n. With the lease in an index, each of those updates wrote to all of
-- the table's indexes; without it, and with room on the page, none.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- Not concurrently: runs are few beside their events, and both are done within the time-outs or not at all.
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX runs_unsettled;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX runs_unsettled ON runs (status) WHERE finished_at IS NULL;
ALTER TABLE runs SET (fillfactor = 70);
