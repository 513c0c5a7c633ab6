"""One contract, one place: what jobs answer and what routes answer is declared in schema/, and codes look alike."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from schema.job_requests import JobRequest
from tests.structure.repository import ROOT

FOLDERS = ("functions", "handlers", "jobs", "executor", "cli", "schema")
FEWEST_FIELDS = 3
"""Two classes with fewer fields in common may mean different things."""
CODE = re.compile(r"""\bcode(?:: ClassVar\[str\])?\s*=\s*f?["']([^"']+)["']""")
ONCE = {
    "allow-list of the environment": '"NODE_EXTRA_CA_CERTS"',
    "longest Retry-After": "LONGEST_RETRY_AFTER = ",
    "child subreaper": "_PR_SET_CHILD_SUBREAPER = ",
    "depth of JSON": "def depth_of(",
}


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def classes(folder: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Each class with the names of the fields that it declares."""
    for path in sources(folder):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                fields = [each.target for each in node.body if isinstance(each, ast.AnnAssign)]
                yield (
                    f"{path.relative_to(ROOT)}:{node.name}",
                    frozenset(field.id for field in fields if isinstance(field, ast.Name)),
                )


def test_no_route_declares_anew_what_jobs_or_contracts_declare() -> None:
    declared: dict[frozenset[str], list[str]] = defaultdict(list)
    for folder in ("jobs", "schema"):
        for name, fields in classes(folder):
            if len(fields) >= FEWEST_FIELDS:
                declared[fields].append(name)
    assert [(name, declared[fields]) for name, fields in classes("functions") if fields in declared] == []


def test_every_job_request_is_performed() -> None:
    from jobs.perform_request import _KINDS

    def leaves(request: type[JobRequest]) -> Iterator[str]:
        if "kind" in vars(request):
            yield request.kind
        for below in request.__subclasses__():
            yield from leaves(below)

    assert sorted(leaves(JobRequest)) == sorted(_KINDS)


def test_every_error_code_is_in_lower_case() -> None:
    codes = {code for path in sources(*FOLDERS) for code in CODE.findall(path.read_text(encoding="utf-8"))}
    assert "restore_incomplete" in codes
    assert "job_worker_unavailable" in codes
    assert {code for code in codes if code != code.lower()} == set()


@pytest.mark.parametrize("what", ONCE)
def test_each_shared_constant_is_defined_once(what: str) -> None:
    found = [path for path in sources(*FOLDERS) if ONCE[what] in path.read_text(encoding="utf-8")]
    assert [path.relative_to(ROOT).parts[0] for path in found] == ["schema"]
