"""Authenticate requests and enforce the permission that each route declares, before its view runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from flask import Flask, current_app, g, request, session

from functions.runtime.process import api_process
from handlers.access.permissions import Actor, Permission, require
from handlers.access.sign_ins import authenticate_sign_in
from handlers.access.tokens import authenticate
from schema.errors import Forbidden, Unauthenticated
from schema.sql import Conn

View = TypeVar("View", bound=Callable[..., Any])
PUBLIC: Final = "public"
SIGN_IN: Final = "sign-in"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def permission(name: Permission) -> Callable[[View], View]:
    """Declare that the view needs this permission, which the user's role must include."""

    def declare(view: View) -> View:
        view.__permission__ = name  # type: ignore[attr-defined]
        return view

    return declare


def public(reason: str) -> Callable[[View], View]:
    """Declare that the view is open to everyone, for this reason."""

    def declare(view: View) -> View:
        view.__permission__ = PUBLIC  # type: ignore[attr-defined]
        view.__public_because__ = reason  # type: ignore[attr-defined]
        return view

    return declare


def enforce_permissions(app: Flask) -> None:
    """Enforce permissions. Call it after all routes are registered: an undeclared route raises AssertionError."""
    undeclared = [
        rule.rule for rule in app.url_map.iter_rules() if permission_of(app.view_functions[rule.endpoint]) is None
    ]
    if undeclared:
        raise AssertionError(f"routes without a permission: {undeclared}")
    app.before_request(_enforce)
    app.teardown_request(_give_share_back)


def permission_of(view: Callable[..., Any]) -> Permission | str | None:
    """Return the permission that the view declares; None when it declares none."""
    declared: str | None = getattr(view, "__permission__", None)
    return declared


def actor() -> Actor:
    """Return the user who makes this request."""
    signed_in: Actor = g.actor
    return signed_in


def authenticator() -> Callable[[Conn], Actor]:
    """Return a function that authenticates this request's user again later: streams outlive a login.

    Raises Unauthenticated, and Forbidden for a browser's request from another site.
    """
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated("Send `Authorization: Bearer` and a token.")
        return lambda conn: authenticate(conn, token.strip())
    sign_in_id = signed_in_id()
    if sign_in_id is None:
        raise Unauthenticated()
    refuse_other_sites()
    return lambda conn: authenticate_sign_in(conn, sign_in_id)


def signed_in_id() -> UUID | None:
    """The id of the sign-in that this browser's cookie names, which may have ended; None without one."""
    try:
        return UUID(session[SIGN_IN])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def who_is_asking() -> Actor | None:
    """Return the signed-in user of a public page; None without one."""
    try:
        recognise = authenticator()
        with api_process().database.transaction() as conn:
            return recognise(conn)
    except Unauthenticated:
        return None


def _enforce() -> None:
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None:  # no such route: Flask answers 404
        return
    needed = permission_of(view)
    if needed == PUBLIC:
        return
    recognise = authenticator()
    with api_process().database.transaction() as conn:
        g.actor = recognise(conn)
    require(g.actor, needed)  # type: ignore[arg-type]
    api_process().requests.take(g.actor.user_id)
    g.in_flight_of = g.actor.user_id


def _give_share_back(_error: BaseException | None) -> None:
    """End the user's request in flight. A stream, a wait and a download has a stream slot for the rest of its time."""
    user_id: UUID | None = g.pop("in_flight_of", None)
    if user_id is not None:
        api_process().requests.give_back(user_id)


def refuse_other_sites() -> None:
    """Raise Forbidden for a request that changes something or opens a socket from a page that is not Runyard's.

    A browser sends the cookie along, whatever page asks.
    """
    if request.method in _SAFE and request.headers.get("Upgrade") is None:
        return
    origin = request.headers.get("Origin")
    ours = {_origin(api_process().settings.public_url), _origin(request.host_url)} - {None}
    if origin is None or _origin(origin) not in ours:
        raise Forbidden("A signed-in browser may do this from Runyard's own pages only.", code="bad_origin")


def _origin(address: str) -> tuple[str, str] | None:
    """Return the scheme and host of a URL in lower case; None when it is malformed, such as `http://[`."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return parts.scheme.lower(), parts.netloc.lower()
