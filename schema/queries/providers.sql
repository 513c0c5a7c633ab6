-- name: announce_provider
INSERT INTO providers (name, declared) VALUES (%(name)s, %(declared)s)
ON CONFLICT (name) DO UPDATE SET declared = excluded.declared, announced_at = now();

-- name: withdraw_providers
DELETE FROM providers WHERE NOT (name = ANY (%(announced)s));

-- name: provider
SELECT name, declared, announced_at FROM providers WHERE name = %(name)s;

-- name: providers
SELECT name, declared, announced_at FROM providers ORDER BY name;
