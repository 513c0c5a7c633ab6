"""A session's queue over HTTP: seen, edited and emptied from any device."""

from __future__ import annotations

import pytest

from schema.wire import Json
from tests.integration.functions.conftest import Api, answer_json

pytestmark = pytest.mark.both_postgres_in_full


@pytest.fixture
def line(api: Api) -> list[Json]:
    """A live run, and `a`, `b`, `c` behind it."""
    session_id = str(api.bind().session_id)
    return [api.start(prompt, sessionId=session_id) for prompt in "abc"]


def queue(api: Api, line: list[Json], query: str = "") -> Json:
    return answer_json(api.get(f"/api/sessions/{line[0]['sessionId']}/queue{query}"))


def path(run: Json) -> str:
    return f"/api/runs/queue/{run['runId']}"


def test_a_queue_is_shown_with_the_live_run_before_it(api: Api, line: list[Json]) -> None:
    shown = queue(api, line)
    assert shown["live"]["status"] == "running"
    assert [(item["prompt"], item["position"], item["revision"]) for item in shown["items"]] == [
        ("a", 1, 1),
        ("b", 2, 1),
        ("c", 3, 1),
    ]
    assert "nextCursor" not in shown


def test_a_queued_prompt_names_its_files(api: Api, line: list[Json]) -> None:
    session_id = line[0]["sessionId"]
    kept = answer_json(api.post(f"/api/sessions/{session_id}/uploads?name=notes.txt", data=b"read me"))["path"]
    api.start("read it", sessionId=session_id, attachments=[kept])
    assert [item["attachments"] for item in queue(api, line)["items"]] == [[], [], [], [kept]]


def test_a_queue_comes_in_pages(api: Api, line: list[Json]) -> None:
    first = queue(api, line, "?limit=2")
    rest = queue(api, line, f"?limit=2&cursor={first['nextCursor']}")
    assert [item["prompt"] for item in first["items"] + rest["items"]] == ["a", "b", "c"]
    assert [item["position"] for item in rest["items"]] == [3]


def test_a_prompt_is_edited_and_moved_in_one_call(api: Api, line: list[Json]) -> None:
    changes = {"revision": 1, "prompt": "better", "place": {"before": line[0]["runId"]}}
    edited = api.patch(path(line[2]), changes)
    assert edited.status_code == 200
    assert (answer_json(edited)["position"], answer_json(edited)["revision"]) == (1, 2)
    assert [item["prompt"] for item in queue(api, line)["items"]] == ["better", "a", "b"]


@pytest.mark.parametrize(
    ("place", "order"), [("first", "bac"), ("last", "acb"), ({"after": 2}, "acb"), ({"before": 0}, "bac")]
)
def test_each_way_to_say_a_place(api: Api, line: list[Json], place: str | dict[str, int], order: str) -> None:
    where = place if isinstance(place, str) else {side: line[n]["runId"] for side, n in place.items()}
    assert api.patch(path(line[1]), {"revision": 1, "place": where}).status_code == 200
    assert "".join(item["prompt"] for item in queue(api, line)["items"]) == order


def test_a_stale_revision_tells_the_run_as_it_is(api: Api, line: list[Json]) -> None:
    api.patch(path(line[0]), {"revision": 1, "prompt": "theirs"})
    refused = api.patch(path(line[0]), {"revision": 1, "prompt": "mine"})
    problem = answer_json(refused)
    assert (refused.status_code, problem["code"]) == (409, "stale_revision")
    assert (problem["run"]["prompt"], problem["run"]["revision"]) == ("theirs", 2)


def test_a_run_is_taken_out_once_however_often_it_is_asked(api: Api, line: list[Json]) -> None:
    for _ in range(2):
        removed = api.delete(path(line[1]))
        assert (removed.status_code, answer_json(removed)["status"]) == (200, "cancelled")
    assert [item["prompt"] for item in queue(api, line)["items"]] == ["a", "c"]


def test_taking_out_with_a_stale_revision_is_refused(api: Api, line: list[Json]) -> None:
    api.patch(path(line[0]), {"revision": 1, "prompt": "theirs"})
    assert answer_json(api.delete(f"{path(line[0])}?revision=1"))["code"] == "stale_revision"
    assert api.delete(f"{path(line[0])}?revision=2").status_code == 200


def test_what_is_not_queued_is_refused_with_its_state(api: Api, line: list[Json]) -> None:
    live = queue(api, line)["live"]
    for refused in (api.patch(path(live), {"revision": 1, "prompt": "x"}), api.delete(path(live))):
        problem = answer_json(refused)
        assert (refused.status_code, problem["code"], problem["runStatus"]) == (409, "not_queued", "running")


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "x"},
        {"revision": 0, "prompt": "x"},
        {"revision": 1, "prompt": "  "},
        {"revision": 1, "place": "second"},
        {"revision": 1, "place": {"before": "a"}},
        {"revision": 1, "position": 3},
    ],
)
def test_an_edit_that_makes_no_sense_is_refused(api: Api, line: list[Json], body: Json) -> None:
    assert api.patch(path(line[0]), body).status_code == 422


def test_a_prompt_beyond_the_limit_is_refused(api: Api, line: list[Json]) -> None:
    assert api.patch(path(line[0]), {"revision": 1, "prompt": "x" * 262_145}).status_code == 413


def test_another_users_queue_is_not_there(api: Api, line: list[Json], member: str) -> None:
    other = Api(api.client, member)
    assert other.get(f"/api/sessions/{line[0]['sessionId']}/queue").status_code == 404
    assert other.patch(path(line[0]), {"revision": 1, "prompt": "x"}).status_code == 404
    assert other.delete(path(line[0])).status_code == 404
