"""Read the conformance probe's results for each pinned version. `make probe` writes them; the executor ships them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from schema.executor_api import Proved

PROVED = Path(__file__).with_name("proved.json")
"""`{npm folder: {version: {at, capabilities}}}`."""

PROOFS = TypeAdapter(dict[str, dict[str, Proved]])


def proof_of(npm: str, version: str) -> Proved | None:
    """Return the probe's result, or None when this version was not probed."""
    return proofs().get(npm, {}).get(version)


@cache
def proofs() -> dict[str, dict[str, Proved]]:
    return PROOFS.validate_json(PROVED.read_bytes())
