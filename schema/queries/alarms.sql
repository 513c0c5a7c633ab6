-- name: notification_queue_usage
-- How full PostgreSQL's queue of notifications is, from 0 to 1. One listener that stays in a transaction fills it.
SELECT pg_notification_queue_usage();

-- name: idle_transactions
-- Sessions that keep a transaction open and do nothing: what they could still see cannot be cleared away.
SELECT pid, COALESCE(application_name, '') AS application, extract(epoch FROM now() - xact_start)::double precision AS seconds
FROM pg_stat_activity
WHERE datname = current_database()
    AND state LIKE 'idle in transaction%%'
    AND xact_start < now() - make_interval(secs => %(older_than_seconds)s)
ORDER BY xact_start
LIMIT 10;
