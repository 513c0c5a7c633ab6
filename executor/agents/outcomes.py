"""Define how a turn resumes, and how it ends when its agent answers, is stopped, or takes too long."""

from __future__ import annotations

from acp.schema import PromptResponse
from pydantic import ValidationError

from executor.agents.failures import TurnFailed
from executor.agents.translate import MOST_GIVEN_UP
from executor.agents.turn import Turn
from schema.events import Reason, RunFinished

STOPPED = RunFinished(status="cancelled", reason=Reason(code="stopped", message="The run was stopped."))
CANCELLED_BY_ANSWER = RunFinished(
    status="cancelled",
    reason=Reason(code="cancelled_by_answer", message="A person's answer cancelled the turn."),
)
GO_ON = (
    "You were interrupted while you worked on my last message. Look at what is done already and go on from there; "
    "do not start over."
)
ASK_AGAIN = (
    " If you were waiting for my permission or my answer, ask for it again exactly as before: the answer is there now."
)
LOST = (
    "The agent was interrupted and cannot resume its conversation. Runyard never sends a prompt twice; send a new one."
)

EMPTY_TURN = "The agent ended its turn without a text, a tool call or a use of its model."


def resume_prompt(turn: Turn) -> str:
    """Return the message to an agent whose turn was interrupted."""
    cut_off = "; ".join(f'"{title}"' for title in turn.run.cut_off)
    checked = f" These tool calls were cut off and may be half done, so check them first: {cut_off}." if cut_off else ""
    return GO_ON + checked + (ASK_AGAIN if turn.run.answers else "")


def is_urgent(finished: RunFinished) -> bool:
    """Tell whether the agent must be stopped without a grace period."""
    return finished.reason is not None and finished.reason.code == "disk_limit"


def timed_out(limit: float | None) -> RunFinished:
    """Return the failure for a limit in seconds."""
    return TurnFailed("timeout", f"The run exceeded its time limit of {limit or 0:.15g} seconds.").finished()


def silence_told(seconds: float, words: str | None) -> str:
    """Return the warning about an agent that says nothing. `words` are its model's last ones."""
    because = f" Its model failed, and it tries again: {words}" if words else ""
    return f"The agent has said nothing for {seconds:.15g} seconds.{because}"


def silent_for(seconds: float, words: str | None) -> RunFinished:
    """Return the failure of an agent that said nothing for too long. `words` are its model's last ones."""
    sentence = f"The agent said nothing for {seconds:.15g} seconds and ran no tool call, so Runyard ended it."
    return TurnFailed("agent_error", sentence + _model_said(words)).finished()


def endless(words: str | None) -> RunFinished:
    """Return the failure of an agent whose model broke off its answer again and again."""
    sentence = f"The model broke off its answer {MOST_GIVEN_UP} times in a row, and the agent went on asking it."
    return TurnFailed("agent_error", sentence + _model_said(words)).finished()


def without_model(words: str) -> TurnFailed:
    """Return the failure of a turn that its agent ended well although its model never answered.

    Codex then puts the model's failure into a message, `words`.
    """
    return TurnFailed("agent_error", f"The agent ended its turn without an answer of its model. It said: {words}")


def _model_said(words: str | None) -> str:
    return f" Its model failed: {words}" if words else ""


def settled(answer: PromptResponse) -> RunFinished:
    """Turn the agent's answer into the run's end.

    `max_tokens` and `max_turn_requests` are failures: the work is unfinished, though its results stay.
    """
    reason = answer.stop_reason
    if reason == "end_turn":
        return RunFinished(status="succeeded", stop_reason=reason)
    if reason == "cancelled":
        why = Reason(code="agent_cancelled", message="The agent cancelled its turn by itself.")
        return RunFinished(status="cancelled", reason=why, stop_reason=reason)
    codes = {"refusal": "agent_refused"}
    sentences = {
        "refusal": "The agent refused to answer this prompt.",
        "max_tokens": "The model reached its token limit before it finished. Send another prompt.",
        "max_turn_requests": "The agent reached its limit of model requests in one turn. Send another prompt.",
    }
    why = Reason(code=codes.get(reason, reason), message=sentences[reason])
    return RunFinished(status="failed", reason=why, stop_reason=reason)


def first_fault(error: ValidationError) -> str:
    """Return the first fault of a validation error, without the input."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
