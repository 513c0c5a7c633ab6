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
    try:
        text = providers_file.read_text(encoding="utf-8-sig")
        return set(names_in(json.loads(text) if providers_file.suffix == ".json" else tomllib.loads(text)))
    except (OSError, ValueError):
        return set()


def names_in(value: object) -> Iterator[str]:
    """Yield each `from_env` in the tables of a providers file."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "from_env" and isinstance(inner, str):
                yield inner
            else:
                yield from names_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names_in(inner)
