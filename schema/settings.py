"""Settings that several programs read, with the sentences that describe them, and the error for a bad value."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from schema.errors import RunyardError
from schema.worker_limits import DAY_SECONDS, LONGEST_SECONDS

Seconds = Annotated[float, Field(gt=0, le=DAY_SECONDS)]
PauseMs = Annotated[int, Field(ge=0, le=1000 * DAY_SECONDS)]

StopGraceSeconds = Annotated[
    float, Field(ge=0, le=600, description="Kill an agent's processes this many seconds after the stop request.")
]
HeartbeatSeconds = Annotated[float, Field(gt=0, le=600, description="Send a heartbeat for a live run every N seconds.")]
AgentSilentSeconds = Annotated[
    float,
    Field(
        ge=0,
        le=DAY_SECONDS,
        description="Fail a run whose agent says nothing for N seconds while no tool call runs and nobody is asked. "
        "0 disables it.",
    ),
]
StopDeadlineSeconds = Annotated[
    Seconds, Field(description="Mark a stopping run as cancelled after N seconds, even if its executor is silent.")
]
LeaseSeconds = Annotated[
    Seconds, Field(description="Ask a run's executor what became of the run after N seconds without a callback.")
]
RetryDelayMs = Annotated[PauseMs, Field(description="Wait N milliseconds before a run's next attempt.")]
IdleStopSeconds = Annotated[
    float,
    Field(
        ge=0,
        le=LONGEST_SECONDS,
        description="Save and stop a session worker after N seconds without a run. 0 disables it. "
        "An app's limits override it.",
    ),
]


def _networks(value: str) -> str:
    networks_of(value)
    return value


def networks_of(value: str) -> list[IPv4Network | IPv6Network]:
    """Return the networks of a list with commas. Raises ValueError."""
    try:
        return [ip_network(part.strip()) for part in value.split(",") if part.strip()]
    except ValueError:
        raise ValueError("must be addresses or networks with commas between them, such as 10.0.0.0/8") from None


_HOST_NAME = re.compile(r"[\w.-]+|\[[0-9a-fA-F:.]+\]|[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F.]*")
"""A name or an address; one of IPv6 may stand in brackets."""


def _host_names(value: str) -> str:
    """Raise ValueError for an address or a port, which no host name equals."""
    names = [part.strip() for part in value.split(",") if part.strip()]
    if not all(_HOST_NAME.fullmatch(name) for name in names):
        raise ValueError("must be host names without scheme and port, with commas between them")
    return value


AllowedHosts = Annotated[
    str,
    AfterValidator(_host_names),
    Field(
        description="Further host names of the API, with commas between them. Requests that name another host than "
        "these, that of `RUNYARD_PUBLIC_URL`, that of `RUNYARD_WORKER_BIND` or loopback are refused with 421. "
        "Signed callbacks, `/health` and `/ready` are served under every name."
    ),
]
TrustedProxies = Annotated[
    str,
    AfterValidator(_networks),
    Field(
        description="Addresses or networks of reverse proxies, with commas between them. `X-Forwarded-For`, `-Host` "
        "and `-Proto` count from these alone."
    ),
]


def _none_or_a_week(days: int) -> int:
    if 0 < days < 7:
        raise ValueError("must be 0 or at least 7")
    return days


FileAuditDays = Annotated[
    int,
    AfterValidator(_none_or_a_week),
    Field(
        ge=0, le=36_500, description="Delete audit rows of calls about files after N days, at least 7. 0 keeps them."
    ),
]
AuditLogDays = Annotated[
    int,
    AfterValidator(_none_or_a_week),
    Field(
        ge=0,
        le=36_500,
        description="Delete rows of the operators' audit (`audit_log`: starts, stops and removals of session workers) "
        "after N days, at least 7. 0 keeps them.",
    ),
]
Megabytes = Annotated[int, Field(ge=0, le=1_000_000_000)]
DiskAlarmFreeMb = Annotated[
    Megabytes,
    Field(
        description="Report a low disk, in the log and at `/ready`, while the data folder's disk has less than N "
        "megabytes left. 0 disables it. For `WORKER_HOST=process`."
    ),
]
DiskStopFreeMb = Annotated[
    Megabytes,
    Field(
        description="Start no session worker while the data folder's disk has less than N megabytes left: runs stay in "
        "the queue. 0 disables it. For `WORKER_HOST=process`."
    ),
]
RemoveAfterSeconds = Annotated[
    float,
    Field(
        ge=0,
        le=LONGEST_SECONDS,
        description="Remove a stopped session worker after N seconds, once its data is verified in the store. "
        "0 disables it. An app's limits override it.",
    ),
]
Auth = Annotated[
    Literal["local", "token"],
    Field(
        description="`local`: one local administrator, loopback only. `token`: only users and tokens made by "
        "`python -m cli users`."
    ),
]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="Log lines of this level and above.")
]
ProvidersFile = Annotated[
    Path, Field(description="File that declares the agents. Only the job worker and executors read it.")
]
AgentsDir = Annotated[Path, Field(description="Directory where the agents' programs are installed.")]

ABOUT = {
    "DATABASE_URL": "PostgreSQL 15 or later, as `postgresql://user:password@host:port/name`.",
    "RUNYARD_SECRET_KEY": "At least 64 hexadecimal digits, the same for API and job worker. Callback keys, executor "
    "tokens and cookies are derived from it.",
    "RUNYARD_SECRET_KEY_PREVIOUS": "The key before, while the key is being changed. It still verifies, and nothing "
    "new is made with it ([changing the key](secret-key.md)).",
    "RUNYARD_DATA_DIR": "Directory for the database, token, workspaces and logs of this clone.",
    "RUNYARD_PORT": "Port for HTTP and WebSocket.",
    "RUNYARD_PUBLIC_URL": "Address at which browsers and clients reach the API.",
    "EXECUTOR_AUTH_TOKEN": "Bearer token of the executor. Required where `WORKER_HOST` is `external`; otherwise the "
    "job worker makes it.",
}
"""Descriptions of settings that two programs read with different types."""


class BadSetting(RunyardError):
    """A setting is invalid. One sentence says which and why, never its value."""

    code: ClassVar[str] = "bad_settings"


def fault_sentence(error: ValidationError, kind: type[BaseModel]) -> str:
    """Return one sentence about the first fault, with the environment variable's name and never its value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return f"{message}."
    name = _variable(str(first["loc"][0]), kind)
    if first["type"] == "missing":
        return f"{name} is not set."
    return f"{name}: {message[0].lower()}{message[1:]}."


def _variable(field: str, kind: type[BaseModel]) -> str:
    """Return the environment variable of a field. The field may already be named by its variable."""
    known = kind.model_fields.get(field)
    alias = known.validation_alias if known else None
    return alias if isinstance(alias, str) else field.upper()
