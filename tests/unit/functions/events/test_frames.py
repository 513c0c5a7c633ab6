"""Frames of a WebSocket as RFC 6455 has them, whatever their size."""

from __future__ import annotations

import json

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import TextMessage

from functions.events.pages import frames


@pytest.mark.parametrize(
    "size", [0, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 65_500, 65_520, 65_535, 65_536, 300_000]
)
def test_a_frame_is_read_as_it_was_meant(size: int) -> None:
    peer = Connection(ConnectionType.CLIENT)
    events = [{"seq": seq, "data": "ü" + "x" * size} for seq in (7, 8)]
    peer.receive_data(frames([json.dumps(event, ensure_ascii=False).encode() for event in events]))
    parts = [event for event in peer.events() if isinstance(event, TextMessage)]
    texts = "".join(str(part.data) + "\n" * part.message_finished for part in parts).splitlines()
    assert [json.loads(text) for text in texts] == [{"kind": "event", **event} for event in events]
