-- depends: 0019.file-policies
-- Old rows of the audit may be deleted, by one function and never within their first week.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

DROP TRIGGER file_audit_is_append_only ON file_audit;
CREATE TRIGGER file_audit_is_append_only BEFORE UPDATE OR TRUNCATE ON file_audit
FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

CREATE FUNCTION refuse_audit_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('runyard.deletes_old_audit', true) IS DISTINCT FROM 'on' OR OLD.at > now() - interval '7 days'
    THEN
        RAISE EXCEPTION 'rows of file_audit are never changed';
    END IF;
    RETURN OLD;
END
$$;
CREATE TRIGGER file_audit_is_kept BEFORE DELETE ON file_audit
FOR EACH ROW EXECUTE FUNCTION refuse_audit_deletion();

-- Delete at most so many rows that are older than so many days, the oldest first; return how many.
CREATE FUNCTION delete_old_file_audit(days integer, most integer) RETURNS bigint
LANGUAGE sql SET runyard.deletes_old_audit = 'on' AS $$
    WITH old AS (
        SELECT id FROM file_audit
        WHERE at < now() - make_interval(days => days)
        ORDER BY at
        LIMIT most
        FOR UPDATE SKIP LOCKED
    ),
    deleted AS (
        DELETE FROM file_audit USING old WHERE file_audit.id = old.id
        RETURNING 1
    )
    SELECT count(*) FROM deleted
$$;
