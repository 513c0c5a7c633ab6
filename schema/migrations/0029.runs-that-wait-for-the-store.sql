-- depends: 0026.objects-read
-- Runs wait for the object store, too: without it no workspace is restored.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- squawk-ignore ban-drop-constraint
ALTER TABLE runs DROP CONSTRAINT runs_held_by_known;
ALTER TABLE runs ADD CONSTRAINT runs_held_by_known
CHECK (held_by IN ('system', 'app', 'user', 'host', 'store')) NOT VALID;
