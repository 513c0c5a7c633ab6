"""The limits of a run's options and an app's, each with bodies that have so many of what it limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from functions.runs.schemas import StartBody
from schema.options import (
    LONGEST_CHOICE,
    LONGEST_COMMAND,
    LONGEST_CWD,
    LONGEST_INSTRUCTIONS,
    LONGEST_SERVER_NAME,
    LONGEST_SETTING,
    LONGEST_SETTING_NAME,
    LONGEST_URL,
    MOST_ARGUMENTS,
    MOST_SERVERS,
    MOST_SETTINGS,
    MOST_TOOLS,
    AppOptions,
)
from schema.wire import Json, Request

Body = tuple[type[Request], Callable[[int], Json]]


@dataclass(frozen=True)
class OptionLimit:
    what: str
    most: int
    bodies: tuple[Body, ...]


def of_run(options: Callable[[int], Json]) -> Body:
    return StartBody, lambda many: {"prompt": "x", "options": options(many)}


def of_app(options: Callable[[int], Json]) -> Body:
    return AppOptions, options


def of_program(settings: Callable[[int], Json]) -> Body:
    return of_app(lambda many: {"mcpServers": {"s": {"command": "x", **settings(many)}}})


def of_address(settings: Callable[[int], Json]) -> Body:
    return of_app(lambda many: {"mcpServers": {"s": {"url": "https://x", **settings(many)}}})


def settings(many: int) -> Json:
    return {f"S{i}": "x" for i in range(many)}


def url(length: int) -> str:
    return "https://x/".ljust(length, "x")


OPTION_LIMITS = (
    OptionLimit(
        "tools that a run allows, and that it denies",
        MOST_TOOLS,
        (
            of_run(lambda many: {"tools": {"allow": ["a"] * many}}),
            of_run(lambda many: {"tools": {"deny": ["a"] * many}}),
        ),
    ),
    OptionLimit(
        "characters of a run's model, profile, sandbox and approval",
        LONGEST_CHOICE,
        (
            of_run(lambda many: {"model": "x" * many}),
            of_run(lambda many: {"profile": "x" * many}),
            of_run(lambda many: {"sandbox": "x" * many}),
            of_run(lambda many: {"approval": "x" * many}),
        ),
    ),
    OptionLimit("characters of a run's `cwd`", LONGEST_CWD, (of_run(lambda many: {"cwd": "x" * many}),)),
    OptionLimit(
        "characters of an app's instructions",
        LONGEST_INSTRUCTIONS,
        (of_app(lambda many: {"instructions": "x" * many}),),
    ),
    OptionLimit(
        "MCP servers of an app",
        MOST_SERVERS,
        (of_app(lambda many: {"mcpServers": {f"s{i}": {"command": "x"} for i in range(many)}}),),
    ),
    OptionLimit(
        "characters of an MCP server's name",
        LONGEST_SERVER_NAME,
        (of_app(lambda many: {"mcpServers": {"s" * many: {"command": "x"}}}),),
    ),
    OptionLimit(
        "characters of an MCP server's `command`", LONGEST_COMMAND, (of_program(lambda many: {"command": "x" * many}),)
    ),
    OptionLimit(
        "entries of an MCP server's `args`", MOST_ARGUMENTS, (of_program(lambda many: {"args": ["x"] * many}),)
    ),
    OptionLimit(
        "entries of an MCP server's `env` and `headers`",
        MOST_SETTINGS,
        (of_program(lambda many: {"env": settings(many)}), of_address(lambda many: {"headers": settings(many)})),
    ),
    OptionLimit(
        "characters of a name in an MCP server's `env` and `headers`",
        LONGEST_SETTING_NAME,
        (
            of_program(lambda many: {"env": {"N" * many: "x"}}),
            of_address(lambda many: {"headers": {"N" * many: "x"}}),
        ),
    ),
    OptionLimit(
        "characters of a text in an MCP server's `args`, `env` and `headers`",
        LONGEST_SETTING,
        (
            of_program(lambda many: {"args": ["x" * many]}),
            of_program(lambda many: {"env": {"N": "x" * many}}),
            of_address(lambda many: {"headers": {"N": "x" * many}}),
        ),
    ),
    OptionLimit("characters of an MCP server's `url`", LONGEST_URL, (of_address(lambda many: {"url": url(many)}),)),
)
