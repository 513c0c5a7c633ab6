-- depends: 0024.shares
-- What each job worker says of the parts that a run needs, and runs that wait for a host.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- A null `fault` means that the part is well. `job_worker` is the name under which it claims runs.
CREATE TABLE part_reports (
    job_worker text NOT NULL CHECK (length(job_worker) <= 300),
    part text NOT NULL CHECK (part IN ('host', 'store', 'disk')),
    fault text CHECK (length(fault) <= 2000),
    reported_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_worker, part)
);

-- squawk-ignore ban-drop-constraint
ALTER TABLE runs DROP CONSTRAINT runs_held_by_known;
ALTER TABLE runs ADD CONSTRAINT runs_held_by_known CHECK (held_by IN ('system', 'app', 'user', 'host')) NOT VALID;
