-- depends: 0011.session-list
-- A question that an agent asks in place of one that was answered after the agent had ended.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- No foreign key: what is replaced stays with the run as long as this one does.
ALTER TABLE human_requests ADD COLUMN replaces uuid;
