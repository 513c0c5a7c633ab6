-- depends: 0012.transcripts
-- Requests to people, open and closed, newest first in each session.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX human_requests_session ON human_requests (session_id, requested_at DESC, id DESC);
