"""Run all checks in order and print their findings as lines or JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from jobs.doctor import Finding
from jobs.doctor.deployment import (
    check_host,
    check_logins,
    check_objects,
    check_postgres,
    check_providers,
    check_shown_secrets,
)
from jobs.doctor.reading_key import check_reading_key
from jobs.doctor.store import check_store
from jobs.runtime.settings import JobSettings

MARKS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


def doctor(settings: JobSettings, arguments: Sequence[str]) -> int:
    """Run all checks and print the findings. Return the exit status: 1 when a finding is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m jobs doctor", description="Check the deployment, report each fault and its fix."
    )
    parser.add_argument("--json", action="store_true", help="print the findings as a JSON list")
    args = parser.parse_args(arguments)
    findings = find_all(settings)
    sys.stdout.write(as_json(findings) if args.json else as_lines(findings))
    return int(any(finding.state == "wrong" for finding in findings))


def find_all(settings: JobSettings) -> list[Finding]:
    return [
        *check_postgres(settings.dsn),
        *check_store(settings.store),
        *check_objects(settings.dsn),
        *check_reading_key(settings.store, settings.reading_store),
        *check_providers(settings.providers_file),
        *check_logins(settings.dsn),
        *check_host(settings),
        *check_shown_secrets(settings),
    ]


def as_json(findings: Sequence[Finding]) -> str:
    return json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False) + "\n"


def as_lines(findings: Sequence[Finding]) -> str:
    return "".join(
        f"{MARKS[finding.state]}  {finding.part}: {finding.what}" + _advice(finding) + "\n" for finding in findings
    )


def _advice(finding: Finding) -> str:
    return f"\n       -> {finding.todo}" if finding.todo else ""
