"""Serve the app as a function behind API Gateway (HTTP API, payload version 2): `functions.faas.handler`.

A function has no threads, no LISTEN and one connection. It notifies readers right after each commit; an SSE answer is
one page of events and `retry:`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from apig_wsgi import make_lambda_handler

from functions.app import create_app
from functions.runtime.process import function_process
from functions.runtime.settings import ApiSettings, read_settings
from schema.logs import configure_logs
from schema.sealed_environment import CONTROL_PLANE_SECRETS, load_secret_files

TEXT = ("text/", "application/json", "application/problem+json")
Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Handle one event. serverless.yml names this entry point."""
    return _from_environment()(event, context)


def make_handler(settings: ApiSettings) -> Handler:
    made: Handler = make_lambda_handler(
        create_app(settings, process=function_process(settings)), non_binary_content_type_prefixes=TEXT
    )
    return made


@cache
def _from_environment() -> Handler:
    """Make the handler at the first call and keep it while the function is warm."""
    load_secret_files(CONTROL_PLANE_SECRETS)  # a function runs no agents: its environment may hold secrets
    settings = read_settings()
    configure_logs("function", level=settings.log_level)
    return make_handler(settings)
