-- name: notification_queue_usage
-- The fill level of PostgreSQL's notification queue, from 0 to 1. A listener that stays in a transaction fills it.
SELECT pg_notification_queue_usage();

-- name: idle_transactions
-- Sessions with an idle open transaction: VACUUM cannot remove rows that they may still see.
SELECT pid, COALESCE(application_name, '') AS application, extract(epoch FROM now() - xact_start)::double precision AS seconds
FROM pg_stat_activity
WHERE datname = current_database()
    AND state LIKE 'idle in transaction%%'
    AND xact_start < now() - make_interval(secs => %(older_than_seconds)s)
ORDER BY xact_start
LIMIT 10;
