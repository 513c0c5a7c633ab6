"""Guard the app against what a request claims about itself: its host, the proxies on its way, the coding of its body.

A page of another site can reach a server in its reader's network under a name of its own (DNS rebinding). So only known
names are served. Callbacks are signed and health checks tell nothing, so both are served under every name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog
from werkzeug.middleware.proxy_fix import ProxyFix

from functions.runtime.ports import goes_first
from functions.runtime.refusals import RefusedRequest, refusal_json
from functions.runtime.settings import ApiSettings

FORWARDED = (
    *("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT"),
    *("HTTP_X_FORWARDED_PREFIX", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_SSL", "HTTP_X_REAL_IP"),
)
NOSNIFF = ("X-Content-Type-Options", "nosniff")
NO_STORE = ("Cache-Control", "no-store")
ProxyNetwork = IPv4Network | IPv6Network


class RequestGuard:
    """A WSGI application around all others. `hosts` None serves every host: a function has a gateway before it."""

    def __init__(self, app: WSGIApplication, *, hosts: frozenset[str] | None, proxies: Sequence[ProxyNetwork]) -> None:
        self._app = app
        self._hosts = hosts
        self._proxies = proxies
        self._behind_proxy = ProxyFix(self._guarded, x_for=1, x_proto=1, x_host=1)

    def __call__(self, wsgi: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        structlog.contextvars.clear_contextvars()  # the thread has served another request before
        if self._is_proxy(wsgi.get("REMOTE_ADDR", "")):
            return self._behind_proxy(wsgi, start_response)
        for name in FORWARDED:
            wsgi.pop(name, None)
        return self._guarded(wsgi, start_response)

    def _guarded(self, wsgi: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_of_api = wsgi["PATH_INFO"].startswith("/api/")

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, _with_defaults(headers, is_of_api=is_of_api), exc_info)

        try:
            self._refuse_unknown_host(wsgi)
            _refuse_coded_body(wsgi)
        except RefusedRequest as refusal:
            return _refused(refusal, start)
        return self._app(wsgi, start)

    def _is_proxy(self, address: str) -> bool:
        if not self._proxies:
            return False
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in network for network in self._proxies)

    def _refuse_unknown_host(self, wsgi: WSGIEnvironment) -> None:
        if self._hosts is None or goes_first(wsgi["REQUEST_METHOD"], wsgi["PATH_INFO"]):
            return
        if "HTTP_HOST" not in wsgi and wsgi["SERVER_PROTOCOL"] == "HTTP/1.1":  # RFC 9112, section 3.2
            raise RefusedRequest(HTTPStatus.BAD_REQUEST, "The request names no Host.")
        for named in _hosts_named(wsgi):
            host = host_of(f"//{named}")
            if host not in self._hosts and not _is_loopback(host):
                raise RefusedRequest(
                    HTTPStatus.MISDIRECTED_REQUEST,
                    "This server is not known by the host that the request names. Name it in RUNYARD_PUBLIC_URL or in "
                    "RUNYARD_ALLOWED_HOSTS.",
                    code="unknown_host",
                )


def _hosts_named(wsgi: WSGIEnvironment) -> list[str]:
    """Return every host that the request names: by its Host, before a proxy changed it, and in its target."""
    before = wsgi.get("werkzeug.proxy_fix.orig", {}).get("HTTP_HOST")
    _, is_absolute, after = wsgi.get("RAW_URI", "").partition("://")  # RFC 9112, section 3.2.2
    target = re.split("[/?#]", after, maxsplit=1)[0] if is_absolute and wsgi["RAW_URI"][0] != "/" else None
    return [named for named in (wsgi.get("HTTP_HOST"), before, target) if named is not None]


def known_hosts(settings: ApiSettings) -> frozenset[str]:
    """Return the names, in lower case, under which clients reach the server. Loopback is always known."""
    workers = settings.worker_address
    named = (*settings.allowed_hosts.split(","), host_of(settings.public_url), workers[0] if workers else "")
    return frozenset(name.strip(" .[]").lower() for name in named if name.strip())


def host_of(address: str) -> str:
    """Return the host of a URL in lower case, without brackets and port; empty when it has none."""
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _refuse_coded_body(wsgi: WSGIEnvironment) -> None:
    """Raise 415 (RFC 9110, section 15.5.16): a small compressed body may be a very large one."""
    if wsgi.get("HTTP_CONTENT_ENCODING", "").strip().lower() not in ("", "identity"):
        raise RefusedRequest(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "Send the body without a Content-Encoding.",
            code="unsupported_content_encoding",
        )


def _refused(refusal: RefusedRequest, start: Any) -> Iterable[bytes]:
    content = refusal_json(refusal)
    headers = [("Content-Type", "application/problem+json"), ("Content-Length", str(len(content))), NO_STORE]
    if refusal.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        headers.append(("Accept-Encoding", "identity"))
    start(f"{refusal.status.value} {refusal.status.phrase}", headers)
    return [content]


def _with_defaults(headers: list[tuple[str, str]], *, is_of_api: bool) -> list[tuple[str, str]]:
    """Add what each answer says of its use, unless it says so itself: types are not guessed, the API is not cached."""
    names = {name.lower() for name, _ in headers}
    added = [NOSNIFF] if NOSNIFF[0].lower() not in names else []
    if is_of_api and NO_STORE[0].lower() not in names:
        added.append(NO_STORE)
    return [*headers, *added]
