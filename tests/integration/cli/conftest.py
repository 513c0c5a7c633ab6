"""Commands against a server over the API, as a person types them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cli.__main__ import main
from tests.integration.functions.conftest import Served, provided, serve, served

__all__ = ["provided", "serve", "served"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command against the server. Return its exit status, its output and its errors."""
    monkeypatch.setenv("RUNYARD_URL", served.url)
    monkeypatch.setenv("RUNYARD_TOKEN", served.token)

    def run_command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(arguments)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run_command
