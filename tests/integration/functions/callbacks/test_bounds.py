"""What a run may store is bounded: beyond a limit the call is answered, and the log says once what is left out."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from handlers.callbacks.apply_event import LONGEST_TITLE, MOST_OPEN_BYTES, MOST_OPEN_REQUESTS
from handlers.callbacks.event_limit import MOST_EVENTS
from handlers.run_warnings import LONGEST_MESSAGE, MOST_WARNINGS
from handlers.runs.todos import (
    ITEM_COST,
    LONGEST_ITEM,
    MOST_ITEMS,
    MOST_ITEMS_OF_A_CALL,
    MOST_KNOWN_ITEMS,
    MOST_LISTS,
    MOST_TEXT,
)
from schema.events import LONGEST_CURRENCY, MOST_TOKENS
from schema.wire import Json
from tests.integration.functions.conftest import Api, Driver, answer_json


@pytest.fixture
def driver(api: Api) -> Driver:
    return api.bind()


def events_of(api: Api, driver: Driver, type_: str) -> list[Json]:
    items = answer_json(api.get(f"/api/runs/{driver.run_id}/events?limit=1000"))["items"]
    return [event for event in items if event["type"] == type_]


def warnings(api: Api, driver: Driver) -> list[str]:
    return [event["data"]["code"] for event in events_of(api, driver, "run.warning")]


def run_of(api: Api, driver: Driver) -> Json:
    return answer_json(api.get(f"/api/runs/{driver.run_id}"))


def has_stored(conn: psycopg.Connection, driver: Driver, count: int) -> None:
    """Let the log say that the attempt has stored so many events."""
    conn.execute("UPDATE session_logs SET last_n = %s WHERE run_id = %s", (count, driver.run_id))
    conn.commit()
    driver.n = count


def test_events_at_the_limit_and_one_beyond(api: Api, driver: Driver, conn: psycopg.Connection) -> None:
    has_stored(conn, driver, MOST_EVENTS - 2)
    driver.report(driver.delta("one before"))
    assert driver.report(driver.delta("the last"))[1]["stopRequested"] is False
    beyond = driver.delta("beyond")
    for _ in range(2):  # its answer may be lost
        status, answer = driver.report(beyond)
        assert (status, answer["stopRequested"]) == (200, True)
    driver.report(driver.delta("far beyond"), driver.event("tool.call", toolCallId="t"))
    assert [event["data"]["text"] for event in events_of(api, driver, "message.delta")] == ["one before", "the last"]
    assert warnings(api, driver) == ["too_many_events"]
    assert run_of(api, driver)["status"] == "cancelling"


def test_a_run_beyond_the_limit_of_events_ends_with_the_reason(
    api: Api, driver: Driver, conn: psycopg.Connection
) -> None:
    has_stored(conn, driver, MOST_EVENTS)
    driver.report(driver.delta("beyond"))
    assert driver.finish()[0] == 200
    assert (run_of(api, driver)["status"], run_of(api, driver)["reason"]["code"]) == ("cancelled", "too_many_events")
    for _ in range(2):
        assert driver.report(driver.delta("late"))[0] == 200
    assert events_of(api, driver, "message.delta") == []
    assert len(events_of(api, driver, "run.finished")) == 1


def test_the_reason_is_told_also_where_an_agent_filled_the_list_of_warnings(
    api: Api, driver: Driver, conn: psycopg.Connection
) -> None:
    driver.report(*[driver.event("run.warning", code="odd", message="m") for _ in range(MOST_WARNINGS)])
    has_stored(conn, driver, MOST_EVENTS)
    driver.report(driver.delta("beyond"))
    driver.finish()
    assert run_of(api, driver)["reason"]["code"] == "too_many_events"
    assert warnings(api, driver)[-1] == "too_many_events"


def test_events_without_numbers_are_counted(api: Api, driver: Driver, conn: psycopg.Connection) -> None:
    conn.execute("UPDATE session_logs SET last_seq = %s", (MOST_EVENTS - 1,))
    conn.commit()
    events = [{**driver.delta(text), "n": None} for text in ("the last", "beyond")]
    assert driver.report(*events)[1]["stopRequested"] is True
    stored = answer_json(api.get(f"/api/sessions/{driver.session_id}/events?after={MOST_EVENTS - 1}"))["items"]
    assert [event["type"] for event in stored] == ["message.delta", "run.warning", "run.cancelling"]


def todos(driver: Driver, ids: range, *, group: str = "g", content: str = "x") -> int:
    items = [{"id": str(id_), "content": content, "status": "pending"} for id_ in ids]
    return driver.report(driver.event("todo.update", groupId=group, items=items))[0]


def lists(api: Api, driver: Driver) -> list[Json]:
    groups: list[Json] = answer_json(api.get(f"/api/runs/{driver.run_id}/todos"))["groups"]
    return groups


def test_todos_of_a_list_at_the_limit_and_one_beyond(api: Api, driver: Driver) -> None:
    todos(driver, range(MOST_ITEMS))
    assert warnings(api, driver) == []
    for _ in range(2):
        assert todos(driver, range(MOST_ITEMS + 1)) == 200
    assert [item["id"] for item in lists(api, driver)[0]["items"]] == [str(id_) for id_ in range(MOST_ITEMS)]
    assert warnings(api, driver) == ["todos_left_out"]


def test_a_todo_that_moves_beyond_the_limit_is_not_told_as_dropped(api: Api, driver: Driver) -> None:
    todos(driver, range(MOST_ITEMS))
    todos(driver, range(-1, MOST_ITEMS))
    history = answer_json(api.get(f"/api/sessions/{driver.session_id}/todos/events?limit=500"))["items"]
    assert {change["to"] for change in history} == {"pending"}


def test_lists_of_todos_at_the_limit_and_one_beyond(api: Api, driver: Driver) -> None:
    one = [{"id": "a", "content": "x", "status": "pending"}]
    driver.report(*(driver.event("todo.update", groupId=str(group), items=one) for group in range(MOST_LISTS)))
    assert warnings(api, driver) == []
    assert todos(driver, range(1), group="another") == 200
    assert todos(driver, range(2), group="0") == 200
    assert len(lists(api, driver)) == MOST_LISTS
    assert [len(group["items"]) for group in lists(api, driver) if group["groupId"] == "0"] == [2]
    assert warnings(api, driver) == ["todos_left_out"]


def test_todos_of_one_call_at_the_limit_and_one_beyond(api: Api, driver: Driver, conn: psycopg.Connection) -> None:
    def update(group: str, count: int, status: str) -> Json:
        items = [{"id": str(id_), "content": group, "status": status} for id_ in range(count)]
        return driver.event("todo.update", groupId=group, items=items)

    def steps(group: str, item_id: int) -> list[str]:
        asked = "SELECT to_status FROM todo_changes WHERE group_id = %s AND item_id = %s ORDER BY number"
        return [status for (status,) in conn.execute(asked, (group, str(item_id))).fetchall()]

    third = MOST_ITEMS_OF_A_CALL // 3
    statuses = ["pending", "in_progress", "completed"]
    assert driver.report(*(update("a", third, status) for status in statuses))[0] == 200
    assert steps("a", third - 1) == statuses

    beyond = [update("a", third, "pending"), update("b", 1, "pending"), update("b", 1, "completed")]
    assert driver.report(*beyond, update("a", third, "pending"), update("a", third - 1, "completed"))[0] == 200
    assert steps("b", 0) == ["completed"]
    assert (steps("a", 0), steps("a", third - 1)) == (statuses, [*statuses, "dropped"])
    items = {group["groupId"]: group["items"] for group in lists(api, driver)}
    assert ({item["status"] for item in items["a"]}, len(items["a"])) == ({"completed"}, third - 1)
    assert warnings(api, driver) == []
    assert len(events_of(api, driver, "todo.update")) == 8


def test_todos_of_a_call_before_the_runs_end_count_however_many_follow(api: Api, driver: Driver) -> None:
    def update(status: str) -> Json:
        items = [{"id": str(id_), "content": "x", "status": status} for id_ in range(MOST_ITEMS)]
        return driver.event("todo.update", groupId="g", items=items)

    before, after = [update("pending"), update("in_progress")], [update("completed") for _ in range(2)]
    finished = driver.event("run.finished", status="succeeded")
    events = [*before, finished, *after]
    for n, event in enumerate(events, start=1):
        event["n"] = n
    assert driver.report(*events)[0] == 200
    assert {item["status"] for item in lists(api, driver)[0]["items"]} == {"in_progress"}


def test_todos_that_a_list_ever_had_at_the_limit_and_one_beyond(api: Api, driver: Driver) -> None:
    for first in range(0, MOST_KNOWN_ITEMS, MOST_ITEMS):
        assert todos(driver, range(first, first + MOST_ITEMS)) == 200
    assert warnings(api, driver) == []
    assert todos(driver, range(MOST_KNOWN_ITEMS - 1, MOST_KNOWN_ITEMS + 1)) == 200
    assert [item["id"] for item in lists(api, driver)[0]["items"]] == [str(MOST_KNOWN_ITEMS - 1)]
    assert warnings(api, driver) == ["todos_left_out"]


def test_the_text_of_all_todos_at_the_limit_and_one_beyond(api: Api, driver: Driver) -> None:
    def shown() -> dict[str, int]:
        return {
            group["groupId"]: sum(len(item["content"]) + ITEM_COST for item in group["items"])
            for group in lists(api, driver)
        }

    each = LONGEST_ITEM + ITEM_COST
    whole, rest = MOST_TEXT // each, MOST_TEXT % each
    todos(driver, range(whole), group="full", content="x" * LONGEST_ITEM)
    todos(driver, range(1), group="rest", content="y" * (rest - ITEM_COST))
    assert warnings(api, driver) == []
    assert sum(shown().values()) == MOST_TEXT

    assert todos(driver, range(1), group="beyond", content="") == 200  # a new item without room
    assert (
        todos(driver, range(1), group="rest", content="z" * (rest - ITEM_COST + 1)) == 200
    )  # a present one that grows
    moved = [*range(whole, whole + MOST_ITEMS), *range(whole)]  # present ones after as many new ones as a list has
    assert driver.report(driver.event("todo.update", groupId="full", items=_pending(moved)))[0] == 200
    assert shown() == {"full": whole * each, "rest": rest}
    assert warnings(api, driver) == ["todos_left_out"]

    todos(driver, range(1), group="full", content="x")
    assert todos(driver, range(1), group="rest", content="z" * rest) == 200
    assert shown() == {"full": 1 + ITEM_COST, "rest": rest + ITEM_COST}


def _pending(ids: list[int]) -> list[Json]:
    return [{"id": str(id_), "content": "new", "status": "pending"} for id_ in ids]


def test_a_todo_at_its_length_and_one_beyond(api: Api, driver: Driver) -> None:
    todos(driver, range(1), content="x" * LONGEST_ITEM)
    assert warnings(api, driver) == []
    todos(driver, range(1), content="y" * (LONGEST_ITEM + 1))
    assert lists(api, driver)[0]["items"][0]["content"] == "y" * LONGEST_ITEM
    assert warnings(api, driver) == ["todos_left_out"]


def test_warnings_of_a_run_at_the_limit_and_one_beyond(api: Api, driver: Driver) -> None:
    def warn(count: int) -> list[Json]:
        events = [driver.event("run.warning", code=f"c{driver.n}", message="m") for _ in range(count)]
        assert driver.report(*events)[0] == 200
        listed: list[Json] = run_of(api, driver)["warnings"]
        return listed

    assert len(warn(MOST_WARNINGS)) == MOST_WARNINGS
    assert len(warn(1)) == MOST_WARNINGS
    assert len(warnings(api, driver)) == MOST_WARNINGS + 1


def test_a_warning_beyond_the_limit_costs_no_update(api: Api, driver: Driver, conn: psycopg.Connection) -> None:
    def warn(count: int) -> int:
        return driver.report(*(driver.event("run.warning", code="c", message="m") for _ in range(count)))[0]

    assert warn(MOST_WARNINGS) == 200
    conn.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'an update was tried'; END $$;"
        "CREATE TRIGGER refused BEFORE UPDATE OF warnings ON runs FOR EACH STATEMENT EXECUTE FUNCTION refuse()"
    )
    assert warn(3) == 200
    assert len(warnings(api, driver)) == MOST_WARNINGS + 3


def test_a_reason_at_its_length_and_one_beyond(api: Api) -> None:
    for length in (LONGEST_MESSAGE, LONGEST_MESSAGE + 1):
        driver = api.bind()
        reason = {"code": "c", "message": "m" * length}
        assert driver.report(driver.event("run.finished", status="failed", reason=reason))[0] == 200
        assert run_of(api, driver)["reason"]["message"] == "m" * LONGEST_MESSAGE
        assert events_of(api, driver, "run.finished")[0]["data"]["reason"] == reason


def test_the_title_of_a_request_at_its_length_and_one_beyond(api: Api, driver: Driver) -> None:
    for length in (LONGEST_TITLE, LONGEST_TITLE + 1):
        request_id, option = str(uuid4()), {"optionId": "a", "name": "Yes", "kind": "allow_once"}
        asked: Json = {"requestId": request_id, "kind": "permission", "fingerprint": "f", "title": "t" * length}
        assert driver.report(driver.event("human_loop.requested", **asked, options=[option]))[0] == 200
        applied = driver.event("human_loop.applied", requestId=request_id, outcome="void", told="w" * length)
        assert driver.report(applied)[0] == 200
        request = answer_json(api.get(f"/api/human-loop/{request_id}"))
        assert (request["title"], request["told"]) == ("t" * LONGEST_TITLE, "w" * LONGEST_TITLE)


@pytest.mark.parametrize(("text", "most"), [("x", MOST_OPEN_REQUESTS), ("x" * (MOST_OPEN_BYTES // 3), 3)])
def test_open_requests_of_a_run_at_the_limit_and_one_beyond(api: Api, driver: Driver, text: str, most: int) -> None:
    option = {"optionId": "a", "name": "Yes", "kind": "allow_once"}

    def ask() -> tuple[int, Json]:
        asked: Json = {"requestId": str(uuid4()), "kind": "permission", "fingerprint": "f", "title": "t"}
        return driver.report(
            driver.event("human_loop.requested", **asked, options=[option], toolCall={"input": {"text": text}})
        )

    assert {ask()[0] for _ in range(most)} == {200}
    status, problem = ask()
    assert (status, problem["code"]) == (422, "too_many_open_requests")
    driver.n -= 1
    first = events_of(api, driver, "human_loop.requested")[0]["data"]["requestId"]
    assert driver.report(driver.event("human_loop.applied", requestId=first, outcome="void", told="w"))[0] == 200
    assert ask()[0] == 200


def test_tokens_of_a_run_at_the_limit_and_one_beyond_are_summed(api: Api) -> None:
    for tokens in (MOST_TOKENS, MOST_TOKENS + 1, 10**300, -1):
        driver = api.bind()
        cost = {"amount": 1e300, "currency": "USD", "source": "reported"}
        used: Json = {"inputTokens": tokens, "cost": cost}
        assert driver.report(driver.event("usage.update", **used))[0] == 200
        assert driver.report(driver.event("run.finished", status="succeeded", usage=used))[0] == 200
    sums = answer_json(api.get("/api/usage?groupBy=user"))["items"]
    assert [one["inputTokens"] for one in sums] == [3 * MOST_TOKENS]


def test_a_currency_at_its_length_and_one_beyond(api: Api) -> None:
    for length in (LONGEST_CURRENCY, LONGEST_CURRENCY + 1):
        driver = api.bind()
        cost = {"amount": 1, "currency": "U" * length, "source": "reported", "priceVersion": "v" * length}
        assert driver.report(driver.event("run.finished", status="succeeded", usage={"cost": cost}))[0] == 200
        kept = run_of(api, driver)["usage"]["cost"]
        assert (kept["currency"], kept["priceVersion"]) == ("U" * LONGEST_CURRENCY, "v" * LONGEST_CURRENCY)
