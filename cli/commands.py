"""The type to which each module of cli/ adds its commands, and the reader of whole numbers."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def whole_number(*, least: int) -> Callable[[str], int]:
    """Return a reader of whole numbers. It raises ArgumentTypeError, which names the least one, for anything else."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= least):
            raise argparse.ArgumentTypeError(f"{text} is no whole number from {least} on")
        return int(text)

    return read
