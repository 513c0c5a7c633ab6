"""The built portal is served at its addresses, compressed, under a strict policy, to who is signed in."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from functions.app import create_app
from functions.runtime.process import api_process_of
from functions.runtime.settings import ApiSettings
from functions.site.portal import BUILD_FOLDER

CODE = "the-code"
SCRIPT = "assets/index-1a2b3c.js"


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A folder as a build leaves it: the page, a script, and the script's packed forms."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>The portal</title>")
    (folder / SCRIPT).write_text("plain")
    (folder / f"{SCRIPT}.br").write_bytes(b"brotli")
    (folder / f"{SCRIPT}.gz").write_bytes(b"gzip")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
def browser(settings: ApiSettings, build: Path, tmp_path: Path) -> Iterator[FlaskClient]:
    code_file = tmp_path / "sign-in-code"
    code_file.write_text(sha256(CODE.encode()).hexdigest())
    app = create_app(settings.model_copy(update={"sign_in_code_file": code_file}))
    app.config[BUILD_FOLDER] = build
    api_process_of(app).start()
    yield app.test_client()
    api_process_of(app).stop()


@pytest.fixture
def signed_in(browser: FlaskClient) -> FlaskClient:
    browser.get(f"/sign-in?code={CODE}")
    return browser


@pytest.mark.parametrize(
    "address", ["/", "/s/an-id", "/s/an-id/files/a/b.py?run=1", "/inbox", "/usage", "/ops/workers"]
)
def test_every_address_of_the_portal_gives_its_page(signed_in: FlaskClient, address: str) -> None:
    answer = signed_in.get(address)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")
    assert "The portal" in answer.get_data(as_text=True)


def test_the_policy_allows_nothing_but_own_files(signed_in: FlaskClient) -> None:
    policy = signed_in.get("/").headers["Content-Security-Policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'" in policy
    assert "unsafe" not in policy


def test_strangers_are_shown_how_to_sign_in(browser: FlaskClient) -> None:
    assert "make sign-in" in browser.get("/").get_data(as_text=True)
    answer = browser.get("/s/an-id")
    assert answer.status_code == 303
    assert "The portal" not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("accepted", "encoding", "body"),
    [("gzip, br", "br", b"brotli"), ("gzip", "gzip", b"gzip"), ("br;q=0", None, b"plain"), ("", None, b"plain")],
)
def test_a_file_comes_as_small_as_the_browser_takes_it(
    browser: FlaskClient, accepted: str, encoding: str | None, body: bytes
) -> None:
    answer = browser.get(f"/{SCRIPT}", headers={"Accept-Encoding": accepted})
    assert (answer.headers.get("Content-Encoding"), answer.get_data()) == (encoding, body)
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_a_file_that_the_browser_has_is_not_sent_again(browser: FlaskClient) -> None:
    tag = browser.get(f"/{SCRIPT}").headers["ETag"]
    answer = browser.get(f"/{SCRIPT}", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.get_data()) == (304, b"")


@pytest.mark.parametrize("name", ["none.js", "../../secret.txt", "%2e%2e/%2e%2e/secret.txt", "index-1a2b3c.js.br", ""])
def test_nothing_but_the_builds_files_is_given(browser: FlaskClient, name: str) -> None:
    answer = browser.get(f"/assets/{name}")
    assert answer.status_code == 404
    assert b"secret" not in answer.get_data()


def test_without_a_build_the_servers_own_page_is_shown(signed_in: FlaskClient, build: Path) -> None:
    (build / "index.html").unlink()
    assert "Signed in as" in signed_in.get("/").get_data(as_text=True)
    answer = signed_in.get("/inbox")
    assert (answer.status_code, answer.get_json()["code"]) == (404, "portal_not_built")


@pytest.mark.parametrize(
    ("liked", "said"), [("en", "This page shows the\nportal by itself"), ("zh-CN", "这个页面会自动显示门户")]
)
def test_until_the_portal_is_built_its_place_says_so_and_looks_again(
    signed_in: FlaskClient, build: Path, liked: str, said: str
) -> None:
    index = (build / "index.html").read_bytes()
    (build / "index.html").unlink()
    page = signed_in.get("/", headers={"Accept-Language": liked}).get_data(as_text=True)
    assert said in page
    assert '<meta http-equiv="refresh" content="5">' in page
    (build / "index.html").write_bytes(index)
    assert signed_in.get("/").get_data() == index
