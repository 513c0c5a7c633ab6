-- name: announce_provider
INSERT INTO providers (name, declared) VALUES (%(name)s, %(declared)s)
ON CONFLICT (name) DO UPDATE SET declared = excluded.declared, announced_at = now();

-- name: announce_proof
INSERT INTO provider_versions (provider, version, proved, proved_at)
VALUES (%(provider)s, %(version)s, %(proved)s, %(proved_at)s)
ON CONFLICT (provider, version) DO UPDATE SET proved = excluded.proved, proved_at = excluded.proved_at;

-- name: withdraw_providers
DELETE FROM providers WHERE NOT (name = ANY (%(announced)s));

-- name: record_agent_claims
-- Locks nothing when the version is known, as for every run of a version but the first.
INSERT INTO provider_versions (provider, version, said, said_at)
SELECT %(provider)s, %(version)s, %(said)s, now()
WHERE NOT EXISTS (
        SELECT 1 FROM provider_versions
        WHERE provider = %(provider)s AND version = %(version)s AND said = %(said)s
    )
ON CONFLICT (provider, version) DO UPDATE SET said = excluded.said, said_at = excluded.said_at;

-- name: providers_not_ready
-- Those whose program or login is missing, each with the reason.
SELECT name, declared ->> 'reason' AS reason FROM providers
WHERE declared ->> 'ready' = 'false' AND declared ->> 'reason' IS NOT NULL
ORDER BY name;

-- name: providers
-- All providers, or the named one.
SELECT providers.name, providers.declared, providers.announced_at,
    known.version, known.said, known.said_at, known.proved, known.proved_at
FROM providers
LEFT JOIN LATERAL (
    SELECT version, said, said_at, proved, proved_at
    FROM provider_versions
    WHERE provider = providers.name AND version = coalesce(providers.declared ->> 'version', version)
    ORDER BY said_at DESC NULLS LAST
    LIMIT 1
) AS known ON true
WHERE %(name)s::text IS NULL OR providers.name = %(name)s
ORDER BY providers.name;
