"""What the conformance probe found of each pinned version: written by `make probe`, shipped with the executor."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from schema.executor_api import Proved

PROVED = Path(__file__).with_name("proved.json")
"""`{npm folder: {version: {at, capabilities}}}`."""

PROOFS = TypeAdapter(dict[str, dict[str, Proved]])


def proof_of(npm: str, version: str) -> Proved | None:
    """None when this version was not tried."""
    return proofs().get(npm, {}).get(version)


@cache
def proofs() -> dict[str, dict[str, Proved]]:
    return PROOFS.validate_json(PROVED.read_bytes())
