"""JSON is compressed for who accepts it; streams and short answers are not."""

from __future__ import annotations

import gzip
import json

from tests.integration.functions.conftest import Api, Served, answer_json

GZIP = {"Accept-Encoding": "gzip"}


def test_a_long_answer_is_compressed_only_for_who_accepts_it(api: Api) -> None:
    plain = api.get("/openapi.json")
    compressed = api.get("/openapi.json", headers=GZIP)
    assert "Content-Encoding" not in plain.headers
    assert (compressed.headers["Content-Encoding"], "Accept-Encoding" in compressed.headers["Vary"]) == ("gzip", True)
    assert json.loads(gzip.decompress(compressed.get_data())) == answer_json(plain)
    assert len(compressed.get_data()) < len(plain.get_data()) / 4


def test_a_short_answer_and_an_error_are_left_as_they_are(api: Api) -> None:
    assert "Content-Encoding" not in api.get("/api/me", headers=GZIP).headers
    assert "Content-Encoding" not in api.get("/api/runs/0", headers=GZIP).headers


def test_a_stream_of_events_is_not_compressed(served: Served) -> None:
    driver = served.bind()
    driver.report(driver.delta("word " * 1000))
    driver.finish()
    with (
        served.client() as client,
        client.stream("GET", f"/api/runs/{driver.run_id}/stream", headers=GZIP) as stream,
    ):
        assert (stream.headers["Content-Type"].split(";")[0], "Content-Encoding" in stream.headers) == (
            "text/event-stream",
            False,
        )
        assert "word word" in stream.read().decode()
        listed = client.get(f"/api/runs/{driver.run_id}/events", headers=GZIP)
    assert (listed.headers["Content-Encoding"], len(listed.json()["items"])) == ("gzip", 4)
