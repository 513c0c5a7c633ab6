"""Variables of the environment that go on to executors and agents: an allow list, so that no secret slips through."""

from __future__ import annotations

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
