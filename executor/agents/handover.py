"""Build the first message to an agent: the prompt, after the conversation that it missed and the attached files."""

from __future__ import annotations

import asyncio

from acp import text_block

from executor.agents.attachments import Block, attachment_blocks
from executor.agents.turn import Listener, Turn
from schema.events import ConversationHandedOver
from schema.executor_api import Handover


async def first_message(turn: Turn, listener: Listener, *, takes_images: bool) -> list[Block]:
    """Return the blocks of the first message, the prompt last. A handover is also recorded as an event."""
    attached = await asyncio.to_thread(attachment_blocks, turn, takes_images=takes_images)
    prompt = [*attached, text_block(turn.run.prompt)]
    if turn.run.handover is None:
        return prompt
    listener.say("conversation.handed_over", _handed_over(turn.run.handover))
    return [text_block(turn.run.handover.text), *prompt]


def _handed_over(handover: Handover) -> ConversationHandedOver:
    return ConversationHandedOver.model_validate(
        {
            "from": handover.providers,
            "runs": handover.runs,
            "left_out": handover.left_out,
            "tokens": handover.tokens,
        }
    )
