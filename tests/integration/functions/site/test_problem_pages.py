"""A wrong address is a page in the language of the browser that opened it; API clients get the problem."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from functions.app import create_app
from functions.runtime.process import api_process_of
from functions.runtime.settings import ApiSettings
from functions.site.portal import BUILD_FOLDER

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def browser(settings: ApiSettings, tmp_path: Path) -> Iterator[FlaskClient]:
    """Of a deployment whose portal is not built."""
    app = create_app(settings)
    app.config[BUILD_FOLDER] = tmp_path
    api_process_of(app).start()
    yield app.test_client()
    api_process_of(app).stop()


@pytest.mark.parametrize(
    ("accept", "language", "title", "home"),
    [
        (CHROMIUM, "en-GB,en;q=0.9", "There is no such page", "Go to the front page"),
        (FIREFOX, "zh-CN,zh;q=0.8,en;q=0.5", "没有这个页面", "前往首页"),
    ],
)
def test_an_unknown_address_is_a_page_with_a_way_home(
    browser: FlaskClient, accept: str, language: str, title: str, home: str
) -> None:
    answer = browser.get("/nowhere<script>", headers={"Accept": accept, "Accept-Language": language})
    shown = answer.get_data(as_text=True)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert f"<h2>{title}</h2>" in shown
    assert f'<a href="/">{home}</a>' in shown
    assert "<script>" not in shown
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["Cache-Control"] == "no-store"
    assert {"Accept", "Accept-Language"} <= set(answer.vary)


@pytest.mark.parametrize("accept", ["application/json", "application/problem+json, text/html;q=0.5", "*/*", ""])
def test_a_client_that_does_not_prefer_pages_gets_the_problem(browser: FlaskClient, accept: str) -> None:
    answer = browser.get("/nowhere", headers={"Accept": accept})
    problem = answer.get_json()
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert (problem["code"], "Accept" in answer.vary) == ("no_such_route", True)


def test_addresses_of_the_api_answer_problems_to_browsers_too(browser: FlaskClient) -> None:
    for path in ("/api/nowhere", "/api/me"):
        answer = browser.get(path, headers={"Accept": CHROMIUM})
        assert (answer.status_code in (401, 404), answer.mimetype) == (True, "application/problem+json")


def test_other_problems_say_what_a_person_can_do(browser: FlaskClient) -> None:
    headers = {"Accept": CHROMIUM, "Accept-Language": "zh"}
    unbuilt = browser.get("/inbox", headers=headers)
    assert (unbuilt.status_code, "make portal" in unbuilt.get_data(as_text=True)) == (404, True)
    wrong_method = browser.get("/sign-out", headers=headers)
    assert (wrong_method.status_code, wrong_method.headers["Allow"]) == (405, "OPTIONS, POST")
    assert "没有这个页面" in wrong_method.get_data(as_text=True)
    foreign = browser.post("/sign-out", headers={**headers, "Origin": "http://evil.example"})
    assert (foreign.status_code, "没有成功" in foreign.get_data(as_text=True)) == (403, True)


def test_an_absent_database_is_told_with_a_trace(settings: ApiSettings, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html><title>The portal</title>")
    app = create_app(settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"}))
    app.config[BUILD_FOLDER] = tmp_path
    client = app.test_client()
    client.set_cookie("session", "no-signature")
    answer = client.get("/inbox", headers={"Accept": CHROMIUM, "Authorization": "Bearer a-token"})
    shown = answer.get_data(as_text=True)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert "Runyard cannot answer right now" in shown
    assert "<code>" in shown
