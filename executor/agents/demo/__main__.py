"""Run the demo agent: `python -m executor.agents.demo`, a small real ACP agent that needs no model account.

It shows a newcomer every feature in a minute. It greets, makes a plan, lists the workspace, asks one permission (in
mode `ask`), writes `notes.md` and reports its usage. It remembers earlier prompts in `~/.runyard-demo/`.

Lines of the prompt may be commands. Then the agent does only these, in their order:

    write <name>: <text>    write this file (relative to the working folder), after asking in mode `ask`
    read <name>             read a file and say its first lines
    run: <command>          run a shell command, after asking in mode `ask`
    ask: <question>         ask the person a question with a free answer, and say the answer
    say: <text>             answer with this text
    [<who>] <text>          acknowledge a message from a program in between
    sleep <seconds>         work for this long (a stop ends it)
    flood <count>           stream this many words
    output <bytes>          make a tool call with an output of this many bytes
    garbage <count>         print lines that are not ACP messages, and go on
    error: <text>           answer the prompt with an error
    crash                   end at once with exit code 3, as a broken agent would
    hang                    never answer, and ignore a cancel
    refuse                  end the turn with the stop reason `refusal`
    background              start a process that outlives the agent

When it ends during a question, it asks the same again once the conversation is resumed with a prompt without commands.

It uses the same acp package as Runyard's client for real agents, and knows nothing of Runyard.
"""

from __future__ import annotations

import asyncio
from typing import Any

from acp import run_agent

from executor.agents.demo.agent import DemoAgent


def main() -> None:
    agent: Any = DemoAgent()
    asyncio.run(run_agent(agent, use_unstable_protocol=True))


if __name__ == "__main__":
    main()
