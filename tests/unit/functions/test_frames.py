"""Frames of a WebSocket as RFC 6455 has them, whatever their size."""

from __future__ import annotations

import json

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import TextMessage

from functions.live import frame
from handlers.event_log import WrittenEvent


@pytest.mark.parametrize(
    "size", [0, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 65_500, 65_520, 65_535, 65_536, 300_000]
)
def test_a_frame_is_read_as_it_was_meant(size: int) -> None:
    peer = Connection(ConnectionType.CLIENT)
    peer.receive_data(frame(WrittenEvent(7, json.dumps({"seq": 7, "data": "ü" + "x" * size}, ensure_ascii=False))))
    text = "".join(str(event.data) for event in peer.events() if isinstance(event, TextMessage))
    assert json.loads(text) == {"kind": "event", "seq": 7, "data": "ü" + "x" * size}
