"""What can be saved of a message that was too long to keep."""

from __future__ import annotations

from typing import Any

from executor.agents.jsonl_transport import rescued


def test_a_tool_calls_update_keeps_its_id_and_status() -> None:
    head = '{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s","update":{"toolCallId":"t","x":"aaa'
    message = rescued(head, 'aaa","status":"completed"}}}', 99)

    update: dict[str, Any] = message["params"]["update"]
    assert message["method"] == "session/update"
    assert (update["toolCallId"], update["status"]) == ("t", "completed")
    assert "99 bytes" in update["content"][0]["content"]["text"]


def test_an_answer_becomes_an_error_so_that_nobody_waits() -> None:
    for head, tail in (('{"jsonrpc":"2.0","id":4,"result":{"x":"aaa', 'aaa"}}'), ('{"result":"aaa', 'aaa","id":4}')):
        message = rescued(head, tail, 99)
        assert (message["id"], message["error"]["code"]) == (4, -32603)


def test_anything_else_is_passed_over() -> None:
    message = rescued('{"method":"session/update","params":{"sessionId":"s","update":{"text":"aaa', 'aaa"}}}', 99)

    assert "id" not in message
    assert message["method"].startswith("_")
