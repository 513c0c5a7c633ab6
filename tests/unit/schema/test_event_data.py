"""The data of every event in the log fits the model that the API's document has for its type."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from functions.http.event_schemas import event_union
from schema.event_data import DATA_OF
from tests.structure.repository import ROOT, python_files, tree_of

RECORDED = sorted((ROOT / "portal/tests/logs").glob("*.jsonl"))
EVENT = event_union()
TYPE = re.compile(r"[a-z_]+(\.[a-z_]+)+")


@pytest.mark.parametrize("log", RECORDED, ids=lambda log: log.stem)
def test_recorded_events_fit_and_lose_nothing(log: Path) -> None:
    for line in log.read_text().splitlines():
        event = EVENT.model_validate_json(line)
        shown = json.loads(event.model_dump_json(by_alias=True, exclude_unset=True))
        assert shown["data"].keys() == json.loads(line)["data"].keys()


def test_every_type_that_the_code_appends_is_described() -> None:
    """The first argument or `type` of what makes events."""
    makers = {"NewEvent", "run_event", "append_of_worker", "say", "report", "_say", "reporting_when_late"}
    said = {
        constant.value
        for path in python_files("handlers", "jobs", "executor")
        for call in ast.walk(tree_of(path))
        if isinstance(call, ast.Call) and _name(call.func) in makers
        for constant in [*call.args, *(keyword.value for keyword in call.keywords)]
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
        if TYPE.fullmatch(constant.value)
    }
    assert {"run.queued", "worker.ready", "tool.update", "workspace.synced"} <= said
    assert said - DATA_OF.keys() == set()


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_the_document_has_the_union_by_type() -> None:
    schemas = json.loads((ROOT / "schema/openapi.json").read_text())["components"]["schemas"]
    assert schemas["Event"]["discriminator"]["mapping"].keys() == DATA_OF.keys()
