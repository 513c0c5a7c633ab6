-- name: replace_todos
-- Replace a group's list. An item with a new status or text, or a dropped item, becomes a change. An item belongs to the
-- run that changed it last. A list beyond the session's most, new items beyond a list's most, and new items for which the
-- session's list text has no room, are left out; present ones are cut to the room. An item costs its characters and
-- `item_cost`. The number of items that were stored whole is returned. The caller holds the session.
WITH asked AS (
    SELECT
        item.id, item.place, item.content, item.status, item.priority, before.content AS was_content,
        before.status AS was_status, COALESCE(before.status <> 'dropped', FALSE) AS is_present
    FROM jsonb_to_recordset(%(items)s) AS item (id text, place integer, content text, status text, priority text)
    LEFT JOIN todo_items AS before
        ON before.session_id = %(session_id)s AND before.group_id = %(group_id)s AND before.item_id = item.id
), room AS (
    SELECT
        %(most_known)s - (
            SELECT count(*) FROM todo_items WHERE session_id = %(session_id)s AND group_id = %(group_id)s
        ) AS new_items,
        %(most_text)s - (
            SELECT COALESCE(sum(length(content) + %(item_cost)s), 0)
            FROM todo_items
            WHERE session_id = %(session_id)s
                AND status <> 'dropped'
                AND (
                    group_id <> %(group_id)s
                    OR (item_id = ANY(%(ids)s::text[]) AND item_id NOT IN (SELECT asked.id FROM asked))
                )
        ) AS text,
        EXISTS (SELECT 1 FROM todo_groups WHERE session_id = %(session_id)s AND group_id = %(group_id)s)
        OR (SELECT count(*) FROM todo_groups WHERE session_id = %(session_id)s) < %(most_lists)s AS has_list
), told AS MATERIALIZED (
    SELECT
        item.id, item.place, item.status, item.priority, item.was_content, item.was_status,
        left(item.content, GREATEST(item.room_left, 0)::integer) AS content,
        length(item.content) <= item.room_left AS is_whole
    FROM (
        SELECT
            asked.id, asked.place, asked.content, asked.status, asked.priority, asked.was_content, asked.was_status,
            asked.is_present, room.new_items, room.has_list,
            count(*) FILTER (WHERE asked.was_status IS NULL) OVER (ORDER BY asked.place) AS new_until_here,
            room.text + length(asked.content)
            - sum(length(asked.content) + %(item_cost)s) OVER (ORDER BY asked.is_present DESC, asked.place) AS room_left
        FROM asked
        CROSS JOIN room
    ) AS item
    WHERE item.has_list
        AND (item.was_status IS NOT NULL OR item.new_until_here <= item.new_items)
        AND (item.is_present OR length(item.content) <= item.room_left)
), now_there AS (
    SELECT id, place, content, status, priority, was_content, was_status FROM told
    UNION ALL
    SELECT item_id, place, content, 'dropped', priority, content, status
    FROM todo_items
    WHERE session_id = %(session_id)s
        AND group_id = %(group_id)s
        AND status <> 'dropped'
        AND item_id <> ALL (%(ids)s::text[])
), grouped AS (
    INSERT INTO todo_groups (session_id, group_id, title, run_id, provider, seq)
    SELECT %(session_id)s, %(group_id)s, %(title)s, %(run_id)s, %(provider)s, %(seq)s FROM room WHERE has_list
    ON CONFLICT (session_id, group_id) DO UPDATE
    SET title = COALESCE(excluded.title, todo_groups.title),
        run_id = excluded.run_id,
        provider = excluded.provider,
        seq = excluded.seq,
        updated_at = now()
), recorded AS (
    INSERT INTO todo_changes (session_id, seq, run_id, group_id, item_id, content, from_status, to_status)
    SELECT
        %(session_id)s, %(seq)s, %(run_id)s, %(group_id)s, now_there.id, now_there.content, now_there.was_status,
        now_there.status
    FROM now_there
    WHERE (now_there.status, now_there.content) IS DISTINCT FROM (now_there.was_status, now_there.was_content)
    ORDER BY now_there.status = 'dropped', now_there.place
), listed AS (
    INSERT INTO todo_items (session_id, group_id, item_id, place, content, status, priority, run_id)
    SELECT %(session_id)s, %(group_id)s, id, place, content, status, priority, %(run_id)s
    FROM now_there
    ON CONFLICT (session_id, group_id, item_id) DO UPDATE
    SET place = excluded.place,
        content = excluded.content,
        status = excluded.status,
        priority = excluded.priority,
        run_id = CASE
            WHEN (todo_items.status, todo_items.content) = (excluded.status, excluded.content) THEN todo_items.run_id
            ELSE excluded.run_id
        END,
        updated_at = CASE
            WHEN (todo_items.status, todo_items.content) = (excluded.status, excluded.content) THEN todo_items.updated_at
            ELSE now()
        END
)
SELECT count(*) FILTER (WHERE is_whole) FROM told;

-- name: todos_of_session
-- The current lists, the most recently reported one last.
SELECT
    todo_groups.group_id, todo_groups.title, todo_groups.provider, todo_items.item_id, todo_items.content,
    todo_items.status, todo_items.priority, todo_items.run_id, todo_items.updated_at AS at
FROM todo_items
JOIN todo_groups ON todo_groups.session_id = todo_items.session_id AND todo_groups.group_id = todo_items.group_id
WHERE todo_items.session_id = %(session_id)s AND todo_items.status <> 'dropped'
ORDER BY todo_groups.seq, todo_groups.group_id, todo_items.place, todo_items.item_id;

-- name: todos_left_by_run
-- The lists at the run's end, from each item's last change until then, in the items' current order.
SELECT
    todo_groups.group_id, todo_groups.title, todo_groups.provider, todo_items.item_id, last.content,
    last.to_status AS status, todo_items.priority, last.run_id, last.at
FROM (
    SELECT DISTINCT ON (group_id, item_id) group_id, item_id, content, to_status, run_id, at
    FROM todo_changes
    WHERE session_id = %(session_id)s
        AND seq <= (
            SELECT event.seq
            FROM run_spans AS span
            CROSS JOIN LATERAL (
                SELECT seq
                FROM run_events
                WHERE session_id = span.session_id
                    AND seq BETWEEN span.first_seq AND span.last_seq
                    AND run_id = span.run_id
                    AND NOT late
                ORDER BY seq DESC
                LIMIT 1
            ) AS event
            WHERE span.run_id = %(run_id)s
        )
    ORDER BY group_id, item_id, number DESC
) AS last
JOIN todo_items
    ON todo_items.session_id = %(session_id)s
    AND todo_items.group_id = last.group_id
    AND todo_items.item_id = last.item_id
JOIN todo_groups ON todo_groups.session_id = todo_items.session_id AND todo_groups.group_id = todo_items.group_id
WHERE last.to_status <> 'dropped'
ORDER BY todo_groups.seq, todo_groups.group_id, todo_items.place, todo_items.item_id;

-- name: todo_changes_of_run
SELECT number, seq, at, run_id, group_id, item_id, content, from_status, to_status
FROM todo_changes
WHERE run_id = %(run_id)s AND number > %(after)s
ORDER BY number
LIMIT %(limit)s;

-- name: todo_changes_of_session
-- Newest first; `before` is null or the number of the oldest known change.
SELECT number, seq, at, run_id, group_id, item_id, content, from_status, to_status
FROM todo_changes
WHERE session_id = %(session_id)s AND (%(before)s::bigint IS NULL OR number < %(before)s)
ORDER BY number DESC
LIMIT %(limit)s;
