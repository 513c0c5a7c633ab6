"""docs/limits.md is what the code declares, and each limit of its first table has a test at the limit and beyond."""

from __future__ import annotations

import ast

import pytest

from schema.shares import ShareSettings
from tests.limit import Limit
from tests.limits_page import FILE, LIMITS, page
from tests.structure.repository import ROOT


def test_the_limits_page_is_the_generated_one() -> None:
    assert FILE.read_text(encoding="utf-8") == page(), "run `python -m tests.limits_page`"


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.what)
def test_each_limit_has_a_test_that_is_there(limit: Limit) -> None:
    path, _, name = limit.test.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_share_stands_on_the_page() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert [name for name in ShareSettings.model_fields if f"`{name.upper()}`" not in text] == []
