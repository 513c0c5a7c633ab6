"""Every route says who may call it, and the contract that is written down is the one that is served."""

from __future__ import annotations

import json

import pytest
from flask import Flask
from werkzeug.routing import Rule

from tests.structure.repository import ROOT


@pytest.fixture
def app(app_settings: object) -> Flask:
    from functions.app import create_app

    return create_app(app_settings)


def rules_without_permission(app: Flask) -> list[Rule]:
    return [
        rule
        for rule in app.url_map.iter_rules()
        if not getattr(app.view_functions[rule.endpoint], "__permission__", None)
    ]


def test_every_route_names_its_permission(app: Flask) -> None:
    assert [f"{sorted(rule.methods or ())} {rule.rule}" for rule in rules_without_permission(app)] == []


def test_the_committed_contract_is_the_one_that_is_served(app: Flask) -> None:
    served = app.test_client().get("/openapi.json").get_json()
    committed = json.loads((ROOT / "schema" / "openapi.json").read_text())
    assert committed == served, "write it anew: make openapi"
