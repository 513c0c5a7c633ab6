"""What the limits page says of fields, rows and JSON holds exactly: at the limit, and not one beyond."""

from __future__ import annotations

import json
from collections.abc import Callable

import psycopg
import pytest
from werkzeug.test import TestResponse

from handlers.access.tokens import MAX_TOKENS_PER_USER
from handlers.human_loop.approval_rules import MOST_RULES_OF_A_USER
from schema.json_limits import MAX_DEPTH
from tests.integration.functions.conftest import Api
from tests.limits_page import LIMITS, OF_FIELDS

Send = Callable[[Api, str], TestResponse]
AROUND = '{"a": ""}'
RULES = "/api/human-loop/rules"
FIELDS: dict[str, Send] = {
    "characters of an idempotency key": lambda api, text: api.post(
        "/api/runs/start", {"prompt": "x"}, headers={"Idempotency-Key": text}
    ),
    "characters of a session's title": lambda api, text: api.post("/api/sessions", {"title": text}),
    "characters of a token's label": lambda api, text: api.post("/api/me/tokens", {"label": text}),
    "characters of a rule's note": lambda api, text: api.post(
        RULES, {"effect": "deny", "userId": "me", "pathPattern": "a", "note": text}
    ),
    "characters of a search over sessions": lambda api, text: api.get("/api/sessions", query_string={"q": text}),
    "characters of a provider's name": lambda api, text: api.get("/api/runs", query_string={"provider": text}),
    "bytes of a user's settings as JSON": lambda api, text: api.patch("/api/me/settings", {"a": text[: -len(AROUND)]}),
}
"""How a text of so many characters is sent, by what the page says is limited."""
OF_TEXT = {limit.what: limit for limit in LIMITS if limit.test == OF_FIELDS}


def test_each_field_of_the_page_is_tried() -> None:
    assert set(FIELDS) == set(OF_TEXT)


@pytest.mark.parametrize("what", sorted(FIELDS))
def test_a_field_at_its_limit_and_one_beyond(api: Api, what: str) -> None:
    limit = OF_TEXT[what]
    at_limit, beyond = FIELDS[what](api, "x" * limit.most), FIELDS[what](api, "x" * (limit.most + 1))
    assert at_limit.status_code < 300, at_limit.get_data(as_text=True)
    assert str(beyond.status_code) == limit.beyond.partition(" ")[0]
    assert json.loads(beyond.get_data())["code"] == (limit.beyond.partition("`")[2].rstrip("`") or "invalid")


def test_json_at_its_depth_and_one_beyond(api: Api) -> None:
    driver = api.bind()
    for levels, status in ((MAX_DEPTH, 200), (MAX_DEPTH + 1, 400)):
        inner = levels - 3  # below the body are its events, the event and its data
        output = json.loads("[" * inner + "]" * inner)
        assert driver.report(driver.event("tool.update", toolCallId="t", output=output))[0] == status


@pytest.mark.parametrize("path", ["/api/me/tokens", RULES])
def test_rows_of_a_user_at_the_limit_and_one_beyond(api: Api, conn: psycopg.Connection, path: str) -> None:
    most = MAX_TOKENS_PER_USER if path == "/api/me/tokens" else MOST_RULES_OF_A_USER
    body = {"label": "x"} if path == "/api/me/tokens" else {"effect": "deny", "userId": "me", "pathPattern": "a"}
    taken = conn.execute("SELECT count(*) FROM access_tokens").fetchone()
    before = taken[0] if taken is not None and path == "/api/me/tokens" else 0
    statuses = [api.post(path, body).status_code for _ in range(most - before + 1)]
    assert statuses == [201] * (most - before) + [409]
