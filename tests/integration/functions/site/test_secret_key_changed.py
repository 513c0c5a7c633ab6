"""The secret key is changed: while both keys are set, browsers stay signed in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from functions.app import create_app
from functions.runtime.process import api_process_of
from functions.runtime.settings import ApiSettings
from tests.integration.functions.conftest import SECRET

OLD, NEW = bytes.fromhex(SECRET), b"n" * 32
CODE = "the-code"


@pytest.fixture
def code_file(tmp_path: Path) -> Path:
    file = tmp_path / "sign-in-code"
    file.write_text(sha256(CODE.encode()).hexdigest())
    return file


@pytest.fixture
def browser(settings: ApiSettings, code_file: Path, provided: None) -> Iterator[FlaskClient]:  # noqa: ARG001
    """Signed in while the old key was the only one. Its cookies go along to the apps that follow."""
    with client(settings.model_copy(update={"sign_in_code_file": code_file})) as signed_in:
        yield signed_in


@contextmanager
def client(settings: ApiSettings) -> Iterator[FlaskClient]:
    app = create_app(settings)
    api_process_of(app).start()
    yield app.test_client()
    api_process_of(app).stop()


def named(browser: FlaskClient) -> str:
    return str(browser.application.config["SESSION_COOKIE_NAME"])


def test_a_browser_stays_signed_in_and_its_cookie_is_replaced(settings: ApiSettings, browser: FlaskClient) -> None:
    browser.get(f"/sign-in?code={CODE}")
    old = browser.get_cookie(named(browser))
    assert old is not None
    changing = settings.model_copy(update={"secret_key": NEW, "secret_key_previous": OLD})
    with client(changing) as during:
        during.set_cookie(named(browser), old.value)
        assert during.get("/api/sessions").status_code == 200
        assert during.get_cookie(named(browser)) is None
        new = during.get_cookie(named(during))
        assert new is not None
    with client(settings.model_copy(update={"secret_key": NEW})) as after:
        after.set_cookie(named(browser), old.value)
        assert after.get("/api/sessions").status_code == 401
        after.set_cookie(named(after), new.value)
        assert after.get("/api/sessions").status_code == 200


def test_a_forged_cookie_under_the_previous_name_signs_nobody_in(settings: ApiSettings, browser: FlaskClient) -> None:
    with client(settings.model_copy(update={"secret_key": NEW, "secret_key_previous": OLD})) as during:
        during.set_cookie(named(browser), "eyJzaWduLWluIjoiMSJ9.aaaa.bbbb")
        assert during.get("/api/sessions").status_code == 401
