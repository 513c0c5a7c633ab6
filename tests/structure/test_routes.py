"""Every route says who may call it, and the contract that is written down is the one that is served."""

from __future__ import annotations

import json
import typing

import pytest
from flask import Flask

from functions.app import create_app
from functions.http.auth import PUBLIC, permission_of
from functions.http.openapi import document
from functions.runtime.settings import read_settings
from handlers.access.permissions import Permission
from tests.structure.repository import ROOT


@pytest.fixture(scope="module")
def app() -> Flask:
    return create_app(read_settings(database_url="postgresql:///none", secret_key=bytes(32)))


def test_every_route_names_its_permission(app: Flask) -> None:
    known = {PUBLIC, *typing.get_args(Permission)}
    declared = {rule.rule: permission_of(app.view_functions[rule.endpoint]) for rule in app.url_map.iter_rules()}
    assert {rule: name for rule, name in declared.items() if name not in known} == {}


def test_every_public_route_says_why(app: Flask) -> None:
    views = {rule.rule: app.view_functions[rule.endpoint] for rule in app.url_map.iter_rules()}
    public = {rule: view for rule, view in views.items() if permission_of(view) == PUBLIC}
    assert {rule for rule, view in public.items() if not getattr(view, "__public_because__", "")} == set()


def test_the_committed_contract_is_the_one_that_is_generated(app: Flask) -> None:
    committed = json.loads((ROOT / "schema" / "openapi.json").read_text())
    with app.app_context():
        generated = json.loads(json.dumps(document(app)))
    assert committed == generated, "write it anew: make openapi"
