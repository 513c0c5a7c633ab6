"""A one-time code signs one browser in; its cookie does no other site's work."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest
from flask.testing import FlaskClient

from functions.app import create_app
from functions.runtime.process import api_process_of
from functions.runtime.settings import ApiSettings
from functions.site.portal import BUILD_FOLDER
from handlers.access.users import disable_user
from tests.integration.functions.conftest import TOKEN, answer_json

pytestmark = pytest.mark.both_postgres_in_full
CODE = "the-code"
OURS = {"Origin": "http://127.0.0.1:8080"}


@pytest.fixture
def code_file(tmp_path: Path) -> Path:
    file = tmp_path / "sign-in-code"
    file.write_text(sha256(CODE.encode()).hexdigest())
    return file


@pytest.fixture
def browser(settings: ApiSettings, code_file: Path, provided: None) -> Iterator[FlaskClient]:  # noqa: ARG001
    app = create_app(settings.model_copy(update={"sign_in_code_file": code_file}))
    app.config[BUILD_FOLDER] = code_file.parent / "not-built"
    api_process_of(app).start()
    yield app.test_client()
    api_process_of(app).stop()


@pytest.fixture
def signed_in(browser: FlaskClient) -> FlaskClient:
    browser.get(f"/sign-in?code={CODE}")
    return browser


def test_the_code_signs_in_and_leads_to_the_front_page(browser: FlaskClient) -> None:
    answer = browser.get(f"/sign-in?code={CODE}")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    page = browser.get("/").get_data(as_text=True)
    assert "Signed in as <strong>admin</strong>" in page


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(browser: FlaskClient) -> None:
    cookie = browser.get(f"/sign-in?code={CODE}").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_the_code_works_once(browser: FlaskClient, code_file: Path) -> None:
    browser.get(f"/sign-in?code={CODE}")
    again = browser.application.test_client().get(f"/sign-in?code={CODE}")
    assert (again.status_code, code_file.exists()) == (403, False)
    assert "make sign-in" in again.get_data(as_text=True)


@pytest.mark.parametrize("query", ["?code=", "?code=wrong", "?code=%00", f"?code={CODE}x"])
def test_a_wrong_code_is_refused_and_the_right_one_stays(browser: FlaskClient, code_file: Path, query: str) -> None:
    answer = browser.get(f"/sign-in{query}")
    assert (answer.status_code, code_file.exists()) == (403, True)
    assert "Set-Cookie" not in answer.headers


def test_looking_whether_the_link_is_alive_does_not_use_it(browser: FlaskClient, code_file: Path) -> None:
    assert browser.head(f"/sign-in?code={CODE}").status_code == 200
    assert code_file.exists()


def test_the_front_page_tells_strangers_how_to_sign_in(browser: FlaskClient) -> None:
    answer = browser.get("/")
    assert answer.status_code == 200
    assert "make sign-in" in answer.get_data(as_text=True)
    assert "Latest sessions" not in answer.get_data(as_text=True)
    assert "refresh" not in answer.get_data(as_text=True)
    assert "还没有登录" in browser.get("/", headers={"Accept-Language": "zh"}).get_data(as_text=True)


def test_the_front_page_lists_the_latest_sessions_as_text(signed_in: FlaskClient) -> None:
    signed_in.post("/api/runs/start", json={"prompt": "<script>alert(1)</script>"}, headers=OURS)
    page = signed_in.get("/").get_data(as_text=True)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>" not in page


def test_a_signed_in_browser_reads(signed_in: FlaskClient) -> None:
    assert signed_in.get("/api/sessions").status_code == 200


def test_our_own_pages_may_change_things(signed_in: FlaskClient) -> None:
    assert signed_in.post("/api/runs/start", json={"prompt": "x"}, headers=OURS).status_code == 202


@pytest.mark.parametrize(
    "origin",
    [
        *(None, "null", "http://evil.example", "http://127.0.0.1:8081", "https://127.0.0.1:8080"),
        *("http://127.0.0.1:8080.e", "http://[", "http://[::1", "http://\N{FULLWIDTH SOLIDUS}x"),
    ],
)
def test_other_sites_may_not(signed_in: FlaskClient, origin: str | None) -> None:
    headers = {} if origin is None else {"Origin": origin}
    answer = signed_in.post("/api/runs/start", json={"prompt": "x"}, headers=headers)
    assert (answer.status_code, answer_json(answer)["code"]) == (403, "bad_origin")


@pytest.mark.parametrize("path", ["/sign-out", "/sign-in/token"])
def test_a_stranger_with_a_malformed_origin_is_refused(browser: FlaskClient, path: str) -> None:
    answer = browser.post(path, headers={"Origin": "http://["})
    assert (answer.status_code, answer_json(answer)["code"]) == (403, "bad_origin")


def test_signing_out_forgets_the_browser(signed_in: FlaskClient) -> None:
    assert signed_in.post("/sign-out", headers=OURS).status_code == 303
    assert signed_in.get("/api/sessions").status_code == 401


def test_a_disabled_user_is_signed_out(signed_in: FlaskClient, conn: psycopg.Connection) -> None:
    disable_user(conn, "admin")
    assert signed_in.get("/api/sessions").status_code == 401
    assert "Sign in" in signed_in.get("/").get_data(as_text=True)


def test_a_cookie_of_another_clone_is_no_login(signed_in: FlaskClient, settings: ApiSettings) -> None:
    other = create_app(settings.model_copy(update={"secret_key": bytes(32)}))
    assert other.config["SESSION_COOKIE_NAME"] != signed_in.application.config["SESSION_COOKIE_NAME"]


def test_pages_let_no_script_run_and_leak_no_address(browser: FlaskClient) -> None:
    headers = browser.get("/").headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [
        ("/s/1?at=2", "/s/1?at=2"),
        ("//evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("/" + "a" * 3000, "/"),
    ],
)
def test_signing_in_leads_to_a_path_of_ours_only(browser: FlaskClient, target: str, leads_to: str) -> None:
    answer = browser.post("/sign-in/token", data={"token": TOKEN, "next": target}, headers=OURS)
    location = answer.headers.get("Location", "/" if answer.status_code == 422 else "")
    assert location == leads_to


def test_the_sign_in_page_keeps_where_one_wanted_to_go(browser: FlaskClient) -> None:
    page = browser.get("/sign-in?next=/inbox").get_data(as_text=True)
    assert 'name="next" value="/inbox"' in page


@pytest.mark.parametrize(
    ("liked", "language", "button"),
    [
        ("zh-CN,en;q=0.8", "zh", "登录"),
        ("fr, en-GB;q=0.5, zh;q=0.6", "zh", "登录"),
        ("en-US,zh;q=0.9", "en", "Sign in"),
        ("zh;q=0", "en", "Sign in"),
        ("*", "en", "Sign in"),
        ("", "en", "Sign in"),
        (";q=x,,\\", "en", "Sign in"),
    ],
)
def test_the_sign_in_page_is_in_the_browsers_language(
    browser: FlaskClient, liked: str, language: str, button: str
) -> None:
    page = browser.get("/sign-in", headers={"Accept-Language": liked}).get_data(as_text=True)
    assert f'<html lang="{language}">' in page
    assert f'<button class="main">{button}</button>' in page


def test_the_front_page_and_a_used_code_are_said_in_the_browsers_language(browser: FlaskClient) -> None:
    chinese = {"Accept-Language": "zh-TW,zh;q=0.9"}
    front = browser.get("/", headers=chinese).get_data(as_text=True)
    assert ('<html lang="zh">' in front, "这个浏览器还没有登录" in front, "运行状况" in front) == (True, True, True)
    refused = browser.get("/sign-in?code=used", headers=chinese)
    assert (refused.status_code, "这个地址不能再用来登录" in refused.get_data(as_text=True)) == (403, True)
    english = browser.get("/sign-in?code=used").get_data(as_text=True)
    assert ('<html lang="en">' in english, "does not sign in any more" in english) == (True, True)


def test_a_wrong_token_is_refused_in_the_browsers_language(browser: FlaskClient) -> None:
    headers = {**OURS, "Accept-Language": "zh-CN"}
    page = browser.post("/sign-in/token", data={"token": "no"}, headers=headers).get_data(as_text=True)
    assert "这个令牌不存在、已过期或已撤销" in page


def test_a_wrong_token_is_said_on_the_page_and_as_a_problem(browser: FlaskClient) -> None:
    page = browser.post("/sign-in/token", data={"token": "no", "next": "/inbox"}, headers=OURS)
    assert (page.status_code, "unknown, expired or revoked" in page.get_data(as_text=True)) == (401, True)
    assert 'value="/inbox"' in page.get_data(as_text=True)
    assert browser.post("/sign-in/token", json={"token": "no"}, headers=OURS).status_code == 401


def test_another_site_signs_nobody_in(browser: FlaskClient) -> None:
    answer = browser.post("/sign-in/token", json={"token": TOKEN}, headers={"Origin": "http://evil.example"})
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)


def test_the_ways_to_sign_in_are_told(browser: FlaskClient) -> None:
    items = answer_json(browser.get("/api/sign-in/methods"))["items"]
    assert [item["method"] for item in items] == ["code", "token"]
