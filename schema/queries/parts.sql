-- name: report_parts
-- Forget what job workers said that have long been silent, and record what this one says.
WITH forgotten AS (
    DELETE FROM part_reports WHERE reported_at < now() - interval '1 hour' AND job_worker <> %(job_worker)s
)
INSERT INTO part_reports (job_worker, part, fault)
SELECT %(job_worker)s, report.part, left(report.fault, 2000)
FROM unnest(%(parts)s::text[], %(faults)s::text[]) AS report (part, fault)
ON CONFLICT (job_worker, part) DO UPDATE SET fault = EXCLUDED.fault, reported_at = now();

-- name: parts_for_runs
-- The parts as job workers reported them lately: a part is well when one of them has it well. No row: nobody says.
SELECT part, bool_or(fault IS NULL) AS is_well
FROM part_reports
WHERE reported_at > now() - make_interval(secs => %(seconds)s)
GROUP BY part
ORDER BY part;

-- name: any_provider_is_known
SELECT EXISTS (SELECT 1 FROM providers);
