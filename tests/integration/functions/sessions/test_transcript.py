"""A session's transcript is the same whether the job worker has folded its log or the reader does."""

from __future__ import annotations

from random import Random
from uuid import UUID, uuid4

import psycopg
import pytest

from functions.sessions.transcript_schemas import TranscriptAnswer
from handlers.sessions.transcript_rows import BATCH, fold_log, unfolded_sessions
from schema.row_pages import PAGE_BYTES
from schema.wire import Json
from tests.integration.functions.conftest import Api, Driver, answer_json


def transcript(api: Api, session_id: object, query: str = "") -> Json:
    answer = api.get(f"/api/sessions/{session_id}/transcript?{query}")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    TranscriptAnswer.model_validate_json(answer.get_data())
    return answer_json(answer)


def fold_all(conn: psycopg.Connection) -> list[UUID]:
    """Do what the job worker does every second; the sessions that it found."""
    with conn.transaction():
        sessions = unfolded_sessions(conn)
    for session_id in sessions:
        is_behind = True
        while is_behind:
            with conn.transaction():
                is_behind = fold_log(conn, session_id)
    return sessions


def work(driver: Driver, *, calls: int = 3) -> None:
    """Report a message and some tool calls."""
    driver.report(driver.delta("Let me "), driver.delta("look."))
    for call in range(calls):
        driver.report(
            driver.event("tool.call", toolCallId=f"c{call}", title=f"Read {call}", kind="read", status="in_progress"),
            driver.event("tool.update", toolCallId=f"c{call}", status="completed", output="x" * 9000),
        )


@pytest.mark.both_postgres
def test_the_transcript_is_the_same_before_and_after_it_is_stored(api: Api, conn: psycopg.Connection) -> None:
    driver = api.bind()
    work(driver)
    driver.finish()
    read = transcript(api, driver.session_id)
    assert [item["kind"] for item in read["items"]] == ["prompt", "answer", "tool", "tool", "tool", "run"]
    assert fold_all(conn) == [driver.session_id]
    assert transcript(api, driver.session_id) == read
    assert fold_all(conn) == []


def test_a_run_after_a_stored_one_continues_the_transcript(api: Api, conn: psycopg.Connection) -> None:
    first = api.bind()
    work(first)
    first.finish()
    fold_all(conn)
    second = api.bind(str(first.session_id))
    work(second)
    read = transcript(api, first.session_id)
    assert [item["kind"] for item in read["items"]][5:] == ["run", "prompt", "answer", "tool", "tool", "tool"]
    second.finish()
    settled = transcript(api, first.session_id)
    fold_all(conn)
    assert transcript(api, first.session_id) == settled


def test_pages_backwards_hold_every_item_once(api: Api, conn: psycopg.Connection) -> None:
    driver = api.bind()
    work(driver, calls=20)
    driver.finish()
    fold_all(conn)
    second = api.bind(str(driver.session_id))
    work(second, calls=5)
    whole = transcript(api, driver.session_id, "limit=200")
    assert "prevCursor" not in whole
    pages: list[list[Json]] = []
    query = "limit=7"
    while query:
        page = transcript(api, driver.session_id, query)
        pages.insert(0, page["items"])
        query = f"limit=7&before={page['prevCursor']}" if "prevCursor" in page else ""
    assert [item for page in pages for item in page] == whole["items"]


def test_pages_of_large_requests_end_early_and_hold_every_item_once(api: Api, conn: psycopg.Connection) -> None:
    driver = api.bind()
    large = 3 * 1024 * 1024
    chance = Random(7)
    for name in "abcdef":  # as many as may be open at once
        call = {"toolCallId": name, "input": {"text": chance.randbytes(large // 2).hex()}}
        request = driver.event(
            "human_loop.requested", requestId=str(uuid4()), kind="permission", title=name, fingerprint=name,
            toolCall=call, options=[],
        )  # fmt: skip
        assert driver.report(request)[0] == 200
    first = transcript(api, driver.session_id)
    assert first["seq"] < 8, "a reader folds no more than a page of large events"
    with conn.transaction():
        begun = fold_log(conn, driver.session_id)
    while begun:
        with conn.transaction():
            begun = fold_log(conn, driver.session_id)
    titles: list[list[str]] = []
    query = "limit=200"
    while query:
        answer = api.get(f"/api/sessions/{driver.session_id}/transcript?{query}")
        assert len(answer.get_data()) < PAGE_BYTES + large + 64 * 1024
        page = answer_json(answer)
        titles.insert(0, [item["title"] for item in page["items"] if item["kind"] == "asked"])
        query = f"limit=200&before={page['prevCursor']}" if "prevCursor" in page else ""
    assert [len(page) for page in titles if page] == [3, 3]
    assert [title for page in titles for title in page] == list("abcdef")


def test_a_cut_output_is_whole_in_its_event(api: Api) -> None:
    driver = api.bind()
    work(driver, calls=1)
    tool = transcript(api, driver.session_id)["items"][-1]
    assert (tool["isCut"], len(tool["output"])) == (True, 8192)
    whole = answer_json(api.get(f"/api/sessions/{driver.session_id}/events/{tool['whole']['output']}"))
    assert whole["data"]["output"] == "x" * 9000


def test_users_are_named(api: Api) -> None:
    started = api.start("hello")
    read = transcript(api, started["sessionId"])
    assert [read["users"][item["author"].removeprefix("user:")] for item in read["items"]] == ["admin"]


def test_a_long_live_run_is_folded_before_its_end_and_seq_says_how_far(api: Api, conn: psycopg.Connection) -> None:
    driver = api.bind()
    for _ in range(BATCH // 100 + 1):
        driver.report(*[driver.delta("word ") for _ in range(100)])
    read = transcript(api, driver.session_id)
    assert read["seq"] == BATCH
    assert read["items"][-1]["text"] == "word " * (BATCH - 2)
    assert fold_all(conn) == [driver.session_id]
    read = transcript(api, driver.session_id)
    assert (read["seq"], read["items"][-1]["text"]) == (BATCH + 102, "word " * (BATCH + 100))


def test_an_older_version_is_folded_again(api: Api, conn: psycopg.Connection) -> None:
    driver = api.bind()
    work(driver)
    driver.finish()
    read = transcript(api, driver.session_id)
    fold_all(conn)
    with conn.transaction():
        conn.execute("UPDATE session_transcripts SET version = 0")
        conn.execute("UPDATE transcript_items SET item = '{}'")
    assert transcript(api, driver.session_id) == read
    assert fold_all(conn) == [driver.session_id]
    assert transcript(api, driver.session_id) == read


def test_the_transcript_of_anothers_session_is_not_found(api: Api, member: str) -> None:
    session_id = api.start("mine")["sessionId"]
    assert Api(api.client, member).get(f"/api/sessions/{session_id}/transcript").status_code == 404


def test_events_are_read_in_one_direction(api: Api) -> None:
    path = f"/api/sessions/{api.bind().session_id}/events"
    assert [event["seq"] for event in answer_json(api.get(f"{path}?before=2"))["items"]] == [1]
    refused = api.get(f"{path}?before=2&after=0")
    assert (refused.status_code, answer_json(refused)["code"]) == (422, "invalid")
