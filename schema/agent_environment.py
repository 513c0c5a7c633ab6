"""Variables of the environment that go on to executors and agents: an allow list, so that no secret slips through."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROXIES = frozenset(
    [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "all_proxy",
    ]
)
_HARMLESS = PROXIES | {
    "PATH",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TERM",
    "SHELL",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "COLORTERM",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
}


def is_harmless(name: str) -> bool:
    """Whether an agent may see the variable: paths, the locale, certificates and proxies."""
    return name in _HARMLESS or name.startswith("LC_")


def variables_named(providers_file: Path) -> set[str]:
    """Return the variables that the providers file takes from the environment (`from_env`).

    Return an empty set for an unreadable file: the executor itself reports its fault.
    """
    return set(names_in(_tables(providers_file)))


def secrets_named(providers_file: Path) -> set[str]:
    """Return those of `variables_named` whose entry does not say `secret = false`."""
    return {name for name, entry in _entries_in(_tables(providers_file)) if entry.get("secret") is not False}


def names_in(value: object) -> Iterator[str]:
    """Yield each `from_env` in the tables of a providers file."""
    return (name for name, _ in _entries_in(value))


def _tables(providers_file: Path) -> object:
    try:
        text = providers_file.read_text(encoding="utf-8-sig")
        return json.loads(text) if providers_file.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError):
        return {}


def _entries_in(value: object) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield each `from_env` with the table that it stands in."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "from_env" and isinstance(inner, str):
                yield inner, value
            else:
                yield from _entries_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries_in(inner)
