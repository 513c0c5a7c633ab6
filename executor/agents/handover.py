"""Build the first message to an agent: the prompt, preceded by the conversation that it missed."""

from __future__ import annotations

from executor.agents.turn import Listener, Turn
from schema.events import ConversationHandedOver
from schema.executor_api import Handover


def first_message(turn: Turn, listener: Listener) -> list[str]:
    """Return the texts of the first message, one block each. A handover is also recorded as an event."""
    if turn.run.handover is None:
        return [turn.run.prompt]
    listener.say("conversation.handed_over", _handed_over(turn.run.handover))
    return [turn.run.handover.text, turn.run.prompt]


def _handed_over(handover: Handover) -> ConversationHandedOver:
    return ConversationHandedOver.model_validate(
        {
            "from": handover.providers,
            "runs": handover.runs,
            "left_out": handover.left_out,
            "tokens": handover.tokens,
        }
    )
