"""`python misbehaving.py <way>`: an agent that does one thing wrong, written without the package so that it can."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any


def send(message: dict[str, Any]) -> None:
    os.write(1, (json.dumps({"jsonrpc": "2.0", **message}) + "\n").encode())


def write_all(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def read() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    message: dict[str, Any] = json.loads(line)
    return message


def answer(request: dict[str, Any], result: Any) -> None:
    send({"id": request["id"], "result": result})


def update(**fields: Any) -> None:
    send({"method": "session/update", "params": {"sessionId": "s1", "update": fields}})


def say(text: str) -> None:
    update(sessionUpdate="agent_message_chunk", content={"type": "text", "text": text})


def ask(*kinds: str) -> dict[str, Any]:
    options = [{"optionId": kind, "name": kind, "kind": kind} for kind in kinds]
    params = {"sessionId": "s1", "toolCall": {"toolCallId": "t", "title": "Do it"}, "options": options}
    send({"id": 1, "method": "session/request_permission", "params": params})
    return next(message for message in iter(read, None) if "method" not in message)


def open_session() -> dict[str, Any]:
    """Everything up to the prompt, as it should be; the prompt's request."""
    while True:
        request = read()
        if request["method"] == "initialize":
            answer(request, {"protocolVersion": 1, "agentCapabilities": {}})
        elif request["method"] == "session/new":
            answer(request, {"sessionId": "s1"})
        elif request["method"] == "session/prompt":
            return request


def finish(prompt: dict[str, Any]) -> None:
    answer(prompt, {"stopReason": "end_turn"})
    while True:
        read()


def crash_at_start() -> None:
    os.write(2, b"cannot find my brain\n")
    sys.exit(7)


def crash_at_first_start() -> None:
    marker = os.path.join(os.environ["HOME"], "crashed")
    if not os.path.exists(marker):
        open(marker, "w").close()
        crash_at_start()
    prompt = open_session()
    say("at last")
    finish(prompt)


def long_last_words() -> None:
    os.write(2, b"first line\n" * 50 + b"the last line " + b"x" * 10_000 + b"\n")
    sys.exit(7)


def says_nothing() -> None:
    finish(open_session())


def hangs_in_a_turn() -> None:
    open_session()
    time.sleep(600)


def leaves_a_call_open() -> None:
    prompt = open_session()
    update(sessionUpdate="tool_call", toolCallId="t", title="sleep 60", status="in_progress")
    say("It goes on")
    finish(prompt)


def leaves_a_process() -> None:
    prompt = open_session()
    subprocess.Popen(["sleep", "612"], start_new_session=True)
    say("I started a server")
    finish(prompt)


def works_long() -> None:
    """Be silent during a tool call, then say what came out."""
    prompt = open_session()
    update(sessionUpdate="tool_call", toolCallId="t", title="sleep 2", status="in_progress")
    time.sleep(2)
    update(sessionUpdate="tool_call_update", toolCallId="t", status="completed")
    say("slept")
    finish(prompt)


def asks_its_model_endlessly() -> None:
    """Begin a message anew without end, as OpenCode does with a model that breaks off."""
    open_session()
    for number in range(100_000):
        content = {"type": "text", "text": "Half of a"}
        update(sessionUpdate="agent_message_chunk", messageId=f"m{number}", content=content)
        time.sleep(0.01)


def only_garbage() -> None:
    write_all(b"Welcome to the agent!\n42\n[1]\nnull\n\xff\xfe\n")


def hang_at_start() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("still warming up", file=sys.stderr, flush=True)
    time.sleep(600)


def wrong_version() -> None:
    answer(read(), {"protocolVersion": 9, "agentCapabilities": {}})
    read()


def wrong_answer() -> None:
    answer(read(), {"protocolVersion": "one"})
    read()


def garbage_between() -> None:
    prompt = open_session()
    say("before")
    write_all(b'not json\n"text"\n17\n[]\n{"method": 5}\n{"jsonrpc": "2.0", "method": "session/update", "params": 3}\n')
    update(sessionUpdate="no_such_update", what="ever")
    say(" after")
    finish(prompt)


def bad_text() -> None:
    prompt = open_session()
    chunk = '{"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "%s"}}'
    head = b'{"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s1", "update": '
    for text in (b"nul \\u0000.", b"lone \\ud800.", b"bytes \xff\xfe.", b"pair \\ud83d\\ude00."):
        write_all(head + chunk.encode() % text + b"}}\n")
    update(sessionUpdate="tool_call", toolCallId="t\x00", title="a\x00b", rawInput={"k\x00": ["\x00"], "big": 1e300})
    write_all(
        head + b'{"sessionUpdate": "tool_call_update", "toolCallId": "n", "rawOutput": {"x": 1e999, "y": NaN}}}}\n'
    )
    finish(prompt)


def answer_without_an_object_for_its_error() -> None:
    send({"id": open_session()["id"], "error": "I would rather not"})
    read()


def odd_ids() -> None:
    prompt = open_session()
    write_all(b'{"jsonrpc": "2.0", "id": [1], "result": {}}\n{"jsonrpc": "2.0", "id": {}, "result": {}}\n')
    say("survived")
    finish(prompt)


def deep_input() -> None:
    """Levels that Python's functions cannot follow, and levels that its JSON cannot."""
    prompt = open_session()
    head = '{"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s1", "update": {"sessionUpdate": '
    for number, levels in enumerate((90, 700, 100_000)):
        call = f'"tool_call", "toolCallId": "{number}", "title": "nul \\u0000", "rawInput": {{"in": '
        write_all((head + call + "[" * levels + "]" * levels + "}}}}\n").encode())
    say("survived")
    finish(prompt)


def huge_output() -> None:
    prompt = open_session()
    update(sessionUpdate="tool_call", toolCallId="big", title="big", status="in_progress")
    content = [{"type": "content", "content": {"type": "text", "text": "x" * 50_000_000 + "the end"}}]
    line = {"sessionUpdate": "tool_call_update", "toolCallId": "big", "status": "completed", "content": content}
    message = {"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s1", "update": line}}
    write_all(json.dumps(message).encode() + b"\n")
    say("survived")
    finish(prompt)


def endless_line() -> None:
    prompt = open_session()
    update(sessionUpdate="tool_call", toolCallId="big", title="big", status="in_progress")
    head = b'{"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s1", "update": {"sessionUpdate": '
    head += b'"tool_call_update", "toolCallId": "big", "status": "completed", "rawOutput": "'
    write_all(head)
    for _ in range(100):
        write_all(b"y" * 1_000_000)
    write_all(b'"}}}\n')
    say("survived")
    finish(prompt)


def unknown_requests() -> None:
    prompt = open_session()
    methods = ("fs/read_text_file", "fs/write_text_file", "terminal/create", "session/ask_nicely", "_vendor/allow")
    for number, method in enumerate(methods):
        params = {"sessionId": "s1", "path": "/etc/passwd", "content": "x", "command": "true"}
        send({"id": 100 + number, "method": method, "params": params})
        reply = read()
        say(f"{method}={'refused' if 'error' in reply else 'ACCEPTED'} ")
    finish(prompt)


def no_way_out() -> None:
    prompt = open_session()
    say(json.dumps(ask("allow_once")["result"]["outcome"]))
    finish(prompt)


def asks_in_vain() -> None:
    prompt = open_session()
    say(json.dumps(ask()["error"]))
    finish(prompt)


def long_error() -> None:
    send({"id": open_session()["id"], "error": {"code": -32603, "message": "x" * 10_000_000 + " no more"}})
    read()


def deaf() -> None:
    """Ignore cancel, closed input and SIGTERM, with a child in another session that ignores SIGTERM too."""
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open_session()
    ignoring = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", ignoring], start_new_session=True)
    say("I do not listen")
    time.sleep(600)


def reads_nothing() -> None:
    """Ask until the pipe with the answers is full."""
    open_session()
    say("I do not read")
    for number in range(6000):
        send({"id": number, "method": "fs/read_text_file", "params": {"sessionId": "s1", "path": "/x" * 50}})
    time.sleep(600)


def flood_of_errors() -> None:
    prompt = open_session()
    write_all(b"")
    for _ in range(20_000):
        os.write(2, b"E: something is very wrong, " + b"x" * 100 + b"\n")
    finish(prompt)


def late_updates() -> None:
    prompt = open_session()
    say("one ")
    answer(prompt, {"stopReason": "end_turn"})
    say("two")
    update(sessionUpdate="usage_update", used=5, size=10, cost={"amount": 0.5, "currency": "EUR"})
    while True:
        read()


def speaks_while_it_ends() -> None:
    prompt = open_session()
    say("in time")
    answer(prompt, {"stopReason": "end_turn"})
    sys.stdin.read()
    say("too late")


def hangs_then_recovers() -> None:
    open_session()
    update(sessionUpdate="tool_call", toolCallId="t", title="Tea", status="in_progress")
    os.write(2, b'level=ERROR message=stream error.error="AI_APICallError: the kettle broke"\n')
    ask("allow_once")
    time.sleep(1.2)
    update(sessionUpdate="tool_call_update", toolCallId="t", status="completed")
    say("Here again")
    time.sleep(600)


def environment() -> None:
    prompt = open_session()
    say(json.dumps(dict(os.environ)))
    finish(prompt)


def secret_on_stderr() -> None:
    os.write(2, f"my key is {os.environ['TOKEN']}\n".encode())
    sys.exit(1)


def out_of_order() -> None:
    prompt = open_session()
    for number in range(2000):
        say(f"{number},")
    finish(prompt)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
