"""`python -m executor.agents.demo`: a small real ACP agent that needs no model account.

It lets a newcomer see everything in the first minute: it greets, makes a plan, looks at the workspace, asks (in mode
`ask`) one permission, writes `notes.md`, reports its usage, and remembers earlier prompts in `~/.runyard-demo/`.

A line of the prompt can ask for more; then only what its lines ask for is done, in their order:

    write <name>: <text>    write this file (relative to the working folder), after asking in mode `ask`
    read <name>             read a file and say its first lines
    run: <command>          run a shell command, after asking in mode `ask`
    ask: <question>         ask the person a question with a free answer, and say the answer
    say: <text>             answer with this text
    [<who>] <text>          take note of what a program in between says
    sleep <seconds>         work for so long (a stop ends it)
    flood <count>           stream so many words
    output <bytes>          a tool call with an output of so many bytes
    garbage <count>         print lines that are not of the protocol, and go on
    error: <text>           answer the prompt with an error
    crash                   end at once with exit code 3, as a broken agent would
    hang                    never answer, and ignore a cancel
    refuse                  end the turn with the stop reason `refusal`
    background              start a process that would outlive the agent

Ended while it asks something, it asks the same again when the conversation is taken up and a prompt asks for nothing.

It speaks through the same package as the real agents' client, and knows nothing of Runyard.
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
