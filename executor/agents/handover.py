"""Build the first message to an agent: the prompt, after the conversation that it missed and the attached files.

A prompt that begins with `/` is one of the agent's own commands or goes to its model. OpenCode drops any other one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from acp import text_block

from executor.agents.attachments import Block, attachment_blocks
from executor.agents.open_session import OpenSession
from executor.agents.provider import Dialect
from executor.agents.turn import Listener, Turn
from schema.events import ConversationHandedOver, RunWarning
from schema.executor_api import Handover

NO_COMMAND = "[Runyard] My message begins with a slash and is no command:\n"


def is_slashed(prompt: str) -> bool:
    """Tell whether agents may take the prompt for a command."""
    return prompt.lstrip().startswith("/")


async def first_message(
    turn: Turn, listener: Listener, opened: OpenSession, *, commands: Collection[str], dialect: Dialect
) -> list[Block]:
    """Return the blocks of the first message, the prompt last. A handover and a command are also recorded as events.

    `commands` are the names of the agent's own commands, without the slash.
    """
    attached = await asyncio.to_thread(attachment_blocks, turn, takes_images=opened.takes_images)
    prompt = text_block(turn.run.prompt)
    handover = turn.run.handover if opened.resumed else turn.run.handover_if_lost or turn.run.handover
    if handover is not None:
        listener.say("conversation.handed_over", _handed_over(handover))
        return [text_block(handover.text), *attached, prompt]
    if attached or not is_slashed(turn.run.prompt):
        return [*attached, prompt]
    return [*_before_slash(turn.run.prompt, listener, commands, dialect), prompt]


def _before_slash(prompt: str, listener: Listener, commands: Collection[str], dialect: Dialect) -> list[Block]:
    command = prompt.split(maxsplit=1)[0].removeprefix("/")
    if command in commands:
        message = f"The agent takes this prompt for its own command /{command}."
        listener.say("run.warning", RunWarning(code="agent_command", message=message))
        return []
    return [text_block(NO_COMMAND)] if dialect == "opencode" else []


def _handed_over(handover: Handover) -> ConversationHandedOver:
    return ConversationHandedOver.model_validate(
        {
            "from": handover.providers,
            "runs": handover.runs,
            "left_out": handover.left_out,
            "tokens": handover.tokens,
        }
    )
