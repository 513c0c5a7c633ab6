"""Carry out the demo agent's commands (__main__.py lists them)."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable

from acp import RequestError
from acp.schema import (
    AcceptElicitationResponse,
    AgentMessageChunk,
    ElicitationFormSessionMode,
    TextContentBlock,
)

from executor.agents.demo.conversation import save_asking
from executor.agents.demo.work import PromptRefused, Work


async def run_prompt(work: Work, prompt: str) -> None:
    """Carry out the prompt's commands in order.

    A prompt without commands continues an interrupted question; without one, it shows every feature once.
    """
    lines = prompt.splitlines()
    commands = [
        (n, command, match[1])
        for n, line in enumerate(lines)
        for pattern, command in COMMANDS
        if (match := pattern(line))
    ]
    interrupted, work.conversation.asking = work.conversation.asking, None
    save_asking(work.conversation)
    for n, command, rest in commands:
        work.ahead = "\n".join(lines[n:])
        await command(work, rest.strip())
    if not commands:
        work.ahead = prompt
        await (run_prompt(work, interrupted) if interrupted else _show(work, prompt))


async def go_on(work: Work) -> None:
    """Continue an interrupted question, or say that there is none."""
    interrupted, work.conversation.asking = work.conversation.asking, None
    save_asking(work.conversation)
    await (run_prompt(work, interrupted) if interrupted else work.say("I go on from here."))


async def _show(work: Work, prompt: str) -> None:
    await work.think("A friendly look around comes first, then a note of what is there.")
    await work.greet()
    await work.plan(0)
    names = await work.look_around()
    await work.plan(1)
    note = f"# Notes\n\nThe prompt was: {prompt.strip()[:2000]}\n\nIn the workspace:\n"
    note += "".join(f"- {name}\n" for name in names) or "- nothing yet\n"
    written = await work.write("notes.md", note)
    await work.plan(2)
    done = "I wrote down what I found in notes.md." if written else "I left everything as it is, as you wished."
    await work.say(f"I found {len(names)} files. {done}")
    await work.plan(3)


async def _write(work: Work, rest: str) -> None:
    name, _, text = rest.partition(":")
    written = await work.write(name.strip() or "notes.md", text.strip() + "\n")
    await work.say(f"Wrote {name.strip()}." if written else f"Did not write {name.strip()}.")


async def _read(work: Work, rest: str) -> None:
    call = await work.begin_tool(f"Read {rest}", "read", {"path": rest})
    path = (work.conversation.cwd / rest).resolve()
    inside = path.is_relative_to(work.conversation.cwd.resolve()) and path.is_file()
    text = path.read_text(encoding="utf-8", errors="replace") if inside else ""
    await work.end_tool(call, output=text, status="completed" if inside else "failed")
    await work.say(f"{rest} begins: {text[:500]}" if inside else f"There is no {rest}.")


async def _run(work: Work, rest: str) -> None:
    call = await work.begin_tool(f"Run {rest}", "execute", {"command": rest})
    if not await work.may(call, f"Run {rest}", "execute", {"command": rest}):
        await work.end_tool(call, output="The person said no.", status="failed")
        await work.say("Then I do not run it.")
        return
    process = await asyncio.create_subprocess_shell(
        rest,
        cwd=work.conversation.cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    status = "completed" if process.returncode == 0 else "failed"
    await work.end_tool(call, output=output.decode("utf-8", "replace"), status=status)
    await work.say(f"It ended with {process.returncode}.")


async def _ask(work: Work, rest: str) -> None:
    form = {"type": "object", "properties": {"answer": {"type": "string", "title": rest}}, "required": ["answer"]}
    mode = ElicitationFormSessionMode.model_validate({"sessionId": work.conversation.id, "requestedSchema": form})
    with work.asking():
        answer = await work.unless_cancelled(work.client.create_elicitation(rest, mode))
    content = answer.content if isinstance(answer, AcceptElicitationResponse) else None
    answered = json.dumps(content, default=str) if content else "nothing"
    await work.say(f"You answered {answered}.")


async def _sleep(work: Work, rest: str) -> None:
    await work.say("I work on it.")
    await work.pause(float(rest or 1))
    await work.say("Done.")


async def _say(work: Work, rest: str) -> None:
    await work.say(rest)


async def _take_note(work: Work, _: str) -> None:
    await work.say("I have taken note of that.")


async def _flood(work: Work, rest: str) -> None:
    for number in range(int(rest or 1000)):
        block = TextContentBlock(type="text", text=f"word{number} ")
        await work.send(AgentMessageChunk(session_update="agent_message_chunk", content=block))


async def _output(work: Work, rest: str) -> None:
    call = await work.begin_tool("Produce output", "execute", {"bytes": rest})
    await work.end_tool(call, output="x" * int(rest or 1024))
    await work.say("That was a long output.")


async def _garbage(work: Work, rest: str) -> None:
    for number in range(int(rest or 3)):
        os.write(1, f"this is no JSON-RPC {number}\n[1, 2]\n".encode())
    await work.say("I printed garbage and went on.")


async def _crash(work: Work, _: str) -> None:
    await work.say("I am about to crash.")
    os.write(2, b"demo: crashing as asked\n")
    os._exit(3)


async def _hang(work: Work, _: str) -> None:
    await work.say("I hang now.")
    await asyncio.Event().wait()


async def _refuse(_work: Work, _: str) -> None:
    raise PromptRefused


async def _error(_work: Work, rest: str) -> None:
    raise RequestError.internal_error({"details": rest or "an error as asked"})


async def _background(work: Work, _: str) -> None:
    process = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
    await work.say(f"Process {process.pid} runs in the background.")


def _line(form: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(rf"\s*{form}\s*", re.IGNORECASE).fullmatch


COMMANDS: list[tuple[Callable[[str], re.Match[str] | None], Callable[[Work, str], Awaitable[None]]]] = [
    (_line(r"write (\S+: .*)"), _write),
    (_line(r"read (\S+)"), _read),
    (_line(r"run: (.+)"), _run),
    (_line(r"ask: (.+)"), _ask),
    (_line(r"say: (.+)"), _say),
    (_line(r"\[\w+\] (.+)"), _take_note),
    (_line(r"sleep ([0-9.]+)"), _sleep),
    (_line(r"flood ([0-9]+)"), _flood),
    (_line(r"output ([0-9]+)"), _output),
    (_line(r"garbage ?([0-9]*)"), _garbage),
    (_line(r"error: (.+)"), _error),
    (_line(r"(crash)"), _crash),
    (_line(r"(hang)"), _hang),
    (_line(r"(refuse)"), _refuse),
    (_line(r"(background)"), _background),
]
