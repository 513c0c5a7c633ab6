"""Connections follow the limit of open files, bodies what they are sent to."""

from __future__ import annotations

import pytest

from functions.app import create_app
from functions.runtime.ports import body_limit, most_peers
from functions.runtime.settings import read_settings

CALLBACKS = "/api/runs/00000000-0000-4000-8000-000000000000/callbacks"


@pytest.mark.parametrize(("open_files", "peers"), [(1024, 341), (20_000, 6666), (1_048_576, 10_000)])
def test_a_port_takes_a_third_of_the_open_files(open_files: int, peers: int) -> None:
    assert most_peers(open_files) == peers


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", CALLBACKS, 5_000_000),
        ("POST", CALLBACKS.replace("callbacks", "%63allbacks"), 5_000_000),
        ("GET", CALLBACKS, 71_536),
        ("POST", CALLBACKS + "/", 71_536),
        ("POST", "/api/runs/start", 71_536),
    ],
)
def test_only_callbacks_may_be_as_large_as_callbacks(method: str, path: str, limit: int) -> None:
    settings = read_settings(
        database_url="postgresql:///x", secret_key="5e" * 32, max_callback_bytes=5_000_000, max_prompt_bytes=1000
    )
    assert body_limit(settings, create_app(settings))(method, path) == limit
