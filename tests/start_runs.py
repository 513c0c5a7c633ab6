"""The order to start a run, as the control plane sends it, for tests that give an agent its turn themselves."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from schema.executor_api import Callback, StartRun


def start_run(**fields: Any) -> StartRun:
    """A first attempt of a new run with the demo agent, but for the fields given."""
    return StartRun(
        **{
            "run_id": uuid4(),
            "session_id": uuid4(),
            "attempt": 1,
            "claim": 1,
            "epoch": 1,
            "provider": "demo",
            "prompt": "hello",
            "callback": Callback(url="http://127.0.0.1:1/callbacks", key="whsec_none"),
            **fields,
        }
    )
