"""What an agent is given first: the prompt, and before it what was said to others while it was not there."""

from __future__ import annotations

from executor.agents.turn import Listener, Turn
from schema.events import ConversationHandedOver
from schema.executor_api import Handover


def first_message(turn: Turn, listener: Listener) -> list[str]:
    """Its texts, each a block of its own. A handover is told to the log as it leaves."""
    if turn.handover is None:
        return [turn.prompt]
    listener.say("conversation.handed_over", _told(turn.handover))
    return [turn.handover.text, turn.prompt]


def _told(handover: Handover) -> ConversationHandedOver:
    return ConversationHandedOver.model_validate(
        {
            "from": handover.providers,
            "runs": handover.runs,
            "left_out": handover.left_out,
            "tokens": handover.tokens,
        }
    )
