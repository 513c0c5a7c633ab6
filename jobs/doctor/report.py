"""All checks in order, and their findings as lines or JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from jobs.doctor import Finding
from jobs.doctor.deployment import check_host, check_postgres, check_providers
from jobs.doctor.store import check_store
from jobs.runtime.settings import JobSettings

MARKS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


def doctor(settings: JobSettings, arguments: Sequence[str]) -> int:
    """The exit status: 1 when anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m jobs doctor", description="Say what is wrong, and what to do.")
    parser.add_argument("--json", action="store_true", help="findings as a JSON list")
    asked = parser.parse_args(arguments)
    findings = find_all(settings)
    sys.stdout.write(as_json(findings) if asked.json else as_lines(findings))
    return int(any(finding.state == "wrong" for finding in findings))


def find_all(settings: JobSettings) -> list[Finding]:
    return [
        *check_postgres(settings.dsn),
        *check_store(settings.store),
        *check_providers(settings.providers_file),
        *check_host(settings),
    ]


def as_json(findings: Sequence[Finding]) -> str:
    return json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False) + "\n"


def as_lines(findings: Sequence[Finding]) -> str:
    return "".join(f"{MARKS[one.state]}  {one.part}: {one.what}" + _todo(one) + "\n" for one in findings)


def _todo(finding: Finding) -> str:
    return f"\n       -> {finding.todo}" if finding.todo else ""
