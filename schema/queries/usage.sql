-- name: usage_sums
-- One row a group, in the order of keys. Days are in UTC, the newest has the greatest key.
WITH spent AS (
    SELECT
        CASE %(group_by)s::text
            WHEN 'day' THEN to_char(usage_log.settled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
            WHEN 'session' THEN usage_log.session_id::text
            WHEN 'app' THEN usage_log.app_id::text
            WHEN 'user' THEN usage_log.user_id::text
            WHEN 'provider' THEN usage_log.provider
            ELSE COALESCE(runs.options ->> 'model', '')
        END AS key,
        CASE %(group_by)s::text
            WHEN 'session' THEN sessions.title
            WHEN 'app' THEN apps.name
            WHEN 'user' THEN users.name
        END AS title,
        usage_log.usage
    FROM usage_log
    JOIN runs ON runs.id = usage_log.run_id
    JOIN sessions ON sessions.id = usage_log.session_id
    JOIN apps ON apps.id = usage_log.app_id
    JOIN users ON users.id = usage_log.user_id
    WHERE (%(user_id)s::uuid IS NULL OR usage_log.user_id = %(user_id)s)
        AND (%(since)s::timestamptz IS NULL OR usage_log.settled_at >= %(since)s)
        AND (%(until)s::timestamptz IS NULL OR usage_log.settled_at < %(until)s)
), costs AS (
    SELECT sums.key, jsonb_agg(jsonb_build_object('currency', sums.currency, 'amount', sums.amount, 'source', sums.source) ORDER BY sums.currency, sums.source) AS cost
    FROM (
        SELECT
            spent.key,
            spent.usage #>> '{cost,currency}' AS currency,
            COALESCE(spent.usage #>> '{cost,source}', 'reported') AS source,
            sum((spent.usage #>> '{cost,amount}')::numeric) AS amount
        FROM spent
        WHERE spent.usage #>> '{cost,amount}' IS NOT NULL AND spent.usage #>> '{cost,currency}' IS NOT NULL
        GROUP BY spent.key, spent.usage #>> '{cost,currency}', COALESCE(spent.usage #>> '{cost,source}', 'reported')
    ) AS sums
    GROUP BY sums.key
)
SELECT
    spent.key,
    COALESCE(max(spent.title), spent.key) AS title,
    count(*) AS runs,
    sum((spent.usage ->> 'inputTokens')::numeric)::bigint AS input_tokens,
    sum((spent.usage ->> 'outputTokens')::numeric)::bigint AS output_tokens,
    sum((spent.usage ->> 'cachedReadTokens')::numeric)::bigint AS cached_read_tokens,
    sum((spent.usage ->> 'cachedWriteTokens')::numeric)::bigint AS cached_write_tokens,
    costs.cost,
    count(*) FILTER (WHERE spent.usage #>> '{cost,amount}' IS NULL OR spent.usage #>> '{cost,currency}' IS NULL) AS without_cost
FROM spent
LEFT JOIN costs ON costs.key = spent.key
WHERE %(after_key)s::text IS NULL OR spent.key > %(after_key)s
GROUP BY spent.key, costs.cost
ORDER BY spent.key
LIMIT %(limit)s;
