"""Hold a started agent: its process, its transport and its connection, and wait for its answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal, TypeVar

from acp import RequestError, connect_to_agent
from acp.client import ClientSideConnection
from pydantic import ValidationError

from executor.agents.acp_client import AcpClient
from executor.agents.failures import TurnFailed
from executor.agents.jsonl_transport import LineTransport
from executor.agents.outcomes import first_fault
from executor.agents.process import AgentProcess
from executor.agents.text import Redaction

CLOSE_SECONDS = 2.0
T = TypeVar("T")


@dataclass(frozen=True)
class ConnectedAgent:
    """A running agent that speaks the protocol. Call `end` exactly once, in every case."""

    process: AgentProcess
    transport: LineTransport
    connection: ClientSideConnection

    async def answered(self, call: Awaitable[T], *, has_opened: bool) -> T:
        """Wait for the agent's answer. When the agent ends first, give its last output a second to arrive.

        Raises TurnFailed for an agent that ended or broke the protocol. `has_opened`: the session was open before.
        """
        request = asyncio.ensure_future(call)
        ended = asyncio.ensure_future(self.process.ended())
        try:
            await asyncio.wait({request, ended}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({request}, timeout=1.0)
            if not request.done():
                raise TurnFailed("agent_crashed", await self.process.how_it_ended())
            return await request
        except ConnectionError:
            how = await self.process.how_it_ended()
            raise TurnFailed(self._end_code(has_opened=has_opened), how + self._garbage()) from None
        except ValidationError as error:
            raise TurnFailed(
                "protocol_error", f"The agent's answer violates the protocol: {first_fault(error)}"
            ) from None
        finally:
            request.cancel()
            ended.cancel()

    def not_ready_within(self, seconds: float) -> TurnFailed:
        """Return the failure of an agent that did not become ready within its start limit."""
        words = self.process.last_output()
        stderr = f" It wrote to stderr: {words}" if words else ""
        return TurnFailed(
            "agent_silent", f"The agent was not ready within {seconds:g} seconds.{self._garbage()}{stderr}"
        )

    async def close_session(self, session_id: str) -> None:
        """Close the session. An agent that does not answer within CLOSE_SECONDS is ended without it."""
        with contextlib.suppress(TimeoutError, RequestError, ConnectionError, ValidationError):
            await asyncio.wait_for(self.connection.close_session(session_id), CLOSE_SECONDS)

    async def end(self, *, gracefully: bool) -> list[str]:
        """End the agent and every process that it started. Return the command lines of those that outlived it."""
        left = await self.process.end(gracefully=gracefully)
        await self.connection.close()
        return left

    def _garbage(self) -> str:
        if not self.transport.garbage_lines:
            return ""
        count, last = self.transport.garbage_lines, self.transport.last_garbage
        return f" It printed {count} lines that are not ACP messages, the last one: {last}"

    def _end_code(self, *, has_opened: bool) -> Literal["agent_crashed", "protocol_error"]:
        return "agent_crashed" if has_opened or not self.transport.garbage_lines else "protocol_error"


def connect(process: AgentProcess, client: AcpClient, redaction: Redaction) -> ConnectedAgent:
    """Speak the protocol with a started process."""
    transport = LineTransport(process.stdout, process.stdin, redaction)
    client.connection = connect_to_agent(client.as_client(), transport, use_unstable_protocol=True)
    return ConnectedAgent(process, transport, client.connection)
