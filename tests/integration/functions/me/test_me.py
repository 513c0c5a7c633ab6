"""A user's own account: who they are, their tokens, their signed-in browsers, their settings."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from flask.testing import FlaskClient

from handlers.access.users import disable_user
from tests.integration.functions.conftest import TOKEN, Api, answer_json

OURS = {"Origin": "http://127.0.0.1:8080"}


@pytest.fixture
def mia(api: Api, member: str) -> Api:
    return Api(api.client, member)


def browser_of(api: Api, token: str = TOKEN) -> FlaskClient:
    browser = api.client.application.test_client()
    answer = browser.post("/sign-in/token", json={"token": token}, headers=OURS)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return browser


def test_me_says_who_it_is_and_what_they_may_do(mia: Api) -> None:
    me = answer_json(mia.get("/api/me"))
    assert (me["role"], me["signedInBy"], me["settings"]) == ("member", "bearer", {})
    assert "runs:start" in me["permissions"]
    assert "workers:operate" not in me["permissions"]


def test_settings_are_merged_and_null_removes(api: Api) -> None:
    api.patch("/api/me/settings", {"language": "zh", "theme": "dark"})
    answer = api.patch("/api/me/settings", {"theme": None, "density": "compact"})
    assert answer_json(answer)["settings"] == {"language": "zh", "density": "compact"}
    assert answer_json(api.get("/api/me"))["settings"] == {"language": "zh", "density": "compact"}


def test_settings_that_are_too_large_change_nothing(api: Api) -> None:
    api.patch("/api/me/settings", {"language": "zh"})
    assert answer_json(api.patch("/api/me/settings", {"big": "x" * 20_000}))["code"] == "settings_too_large"
    assert answer_json(api.get("/api/me"))["settings"] == {"language": "zh"}


def test_settings_must_be_an_object(api: Api) -> None:
    assert api.patch("/api/me/settings", [1]).status_code == 422


def test_a_token_is_told_once_and_works_until_it_is_revoked(api: Api) -> None:
    issued = answer_json(api.post("/api/me/tokens", {"label": "laptop", "days": 7}))
    laptop = Api(api.client, issued["token"])
    assert answer_json(laptop.get("/api/me"))["expiresAt"] == issued["expiresAt"]
    listed = answer_json(api.get("/api/me/tokens"))["items"]
    assert ("token" in listed[0], listed[0]["label"]) == (False, "laptop")
    assert api.delete(f"/api/me/tokens/{issued['tokenId']}").status_code == 204
    assert laptop.get("/api/me").status_code == 401
    assert api.delete(f"/api/me/tokens/{issued['tokenId']}").status_code == 404


def test_an_expired_token_is_refused(api: Api, conn: psycopg.Connection) -> None:
    issued = answer_json(api.post("/api/me/tokens", {"label": "short", "days": 1}))
    conn.execute("UPDATE access_tokens SET expires_at = now() WHERE id = %s", (issued["tokenId"],))
    conn.commit()
    assert Api(api.client, issued["token"]).get("/api/me").status_code == 401


def test_a_scoped_token_does_only_what_it_says(api: Api) -> None:
    issued = answer_json(api.post("/api/me/tokens", {"label": "reader", "scopes": ["runs:read", "sessions:read"]}))
    reader = Api(api.client, issued["token"])
    assert reader.get("/api/sessions").status_code == 200
    assert answer_json(reader.post("/api/runs/start", {"prompt": "hello"}))["code"] == "forbidden"


def test_nobody_gives_a_token_what_they_lack(mia: Api) -> None:
    refused = mia.post("/api/me/tokens", {"label": "more", "scopes": ["workers:operate"]})
    assert answer_json(refused)["code"] == "forbidden"
    issued = answer_json(mia.post("/api/me/tokens", {"label": "some", "scopes": ["me:write", "runs:read"]}))
    some = Api(mia.client, issued["token"])
    assert some.post("/api/me/tokens", {"label": "more", "scopes": ["runs:start"]}).status_code == 403
    heir = answer_json(some.post("/api/me/tokens", {"label": "heir"}))
    assert heir["scopes"] == ["me:write", "runs:read"]


def test_a_token_has_each_of_its_scopes_once_and_in_order(api: Api) -> None:
    issued = answer_json(api.post("/api/me/tokens", {"label": "x", "scopes": ["sessions:read", "me:read"] * 50}))
    assert issued["scopes"] == ["me:read", "sessions:read"]
    listed = answer_json(api.get("/api/me/tokens"))["items"]
    assert [token["scopes"] for token in listed if token["label"] == "x"] == [["me:read", "sessions:read"]]


@pytest.mark.parametrize(
    "body",
    [{}, {"label": ""}, {"label": "x", "days": 0}, {"label": "x", "scopes": []}, {"label": "x", "scopes": ["all"]}],
)
def test_a_token_that_cannot_be_made_is_a_problem(api: Api, body: object) -> None:
    assert api.post("/api/me/tokens", body).status_code == 422


def test_tokens_come_in_pages(api: Api) -> None:
    for number in range(3):
        api.post("/api/me/tokens", {"label": f"token {number}"})
    page = answer_json(api.get("/api/me/tokens?limit=2"))
    rest = answer_json(api.get(f"/api/me/tokens?limit=50&cursor={page['nextCursor']}"))
    labels = [token["label"] for token in page["items"] + rest["items"]]
    assert labels[:3] == ["token 2", "token 1", "token 0"]
    assert len(labels) == len(set(labels))


def test_a_browser_is_signed_in_by_a_token_and_listed(api: Api) -> None:
    browser = browser_of(api)
    [sign_in] = answer_json(browser.get("/api/me/sign-ins"))["items"]
    assert (sign_in["method"], sign_in["current"]) == ("token", True)
    assert answer_json(browser.get("/api/me"))["signedInBy"] == "token"


def test_a_signed_out_cookie_is_worth_nothing(api: Api) -> None:
    browser = browser_of(api)
    stolen = browser.get_cookie(api.client.application.config["SESSION_COOKIE_NAME"])
    assert stolen is not None
    assert browser.post("/sign-out", headers=OURS).status_code == 303
    thief = api.client.application.test_client()
    thief.set_cookie(stolen.key, stolen.value)
    assert thief.get("/api/me").status_code == 401


def test_one_browser_ends_the_sign_in_of_another(api: Api) -> None:
    mine, forgotten = browser_of(api), browser_of(api)
    items = answer_json(mine.get("/api/me/sign-ins"))["items"]
    [other] = [item["signInId"] for item in items if not item["current"]]
    assert mine.delete(f"/api/me/sign-ins/{other}", headers=OURS).status_code == 204
    assert (forgotten.get("/api/me").status_code, mine.get("/api/me").status_code) == (401, 200)


def test_the_end_of_a_token_is_the_end_of_its_sign_ins(api: Api) -> None:
    issued = answer_json(api.post("/api/me/tokens", {"label": "kiosk", "scopes": ["me:read", "sessions:read"]}))
    kiosk = browser_of(api, issued["token"])
    assert answer_json(kiosk.get("/api/me"))["permissions"] == ["me:read", "sessions:read"]
    api.delete(f"/api/me/tokens/{issued['tokenId']}")
    assert kiosk.get("/api/me").status_code == 401


def test_a_disabled_user_is_signed_out_for_good(api: Api, mia: Api, conn: psycopg.Connection) -> None:
    name = answer_json(mia.get("/api/me"))["name"]
    browser = browser_of(api, mia.token)
    disable_user(conn, name)
    conn.commit()
    assert (browser.get("/api/me").status_code, mia.get("/api/me").status_code) == (401, 401)
    conn.execute("UPDATE users SET disabled_at = NULL")
    conn.commit()
    assert browser.get("/api/me").status_code == 401


def test_what_is_another_users_is_not_found(api: Api, mia: Api) -> None:
    issued = answer_json(api.post("/api/me/tokens", {"label": "mine"}))
    browser_of(api)
    [sign_in] = answer_json(api.get("/api/me/sign-ins"))["items"]
    assert mia.delete(f"/api/me/tokens/{issued['tokenId']}").status_code == 404
    assert mia.delete(f"/api/me/sign-ins/{sign_in['signInId']}").status_code == 404
    assert mia.delete(f"/api/me/tokens/{uuid4()}").status_code == 404
    assert answer_json(mia.get("/api/me/sign-ins"))["items"] == []
