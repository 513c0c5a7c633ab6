-- depends: 0014.file-audit
-- Which secret key a session worker's token, or a bound run's callback key, was made with. Null: unknown, or made by
-- someone else.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

ALTER TABLE session_workers ADD COLUMN key_id text;
ALTER TABLE runs ADD COLUMN key_id text;
