"""Cookies of signed-in browsers, which outlive a change of the secret key.

The cookie's name and signature come from the secret key. While the previous key is set too, its cookie is read as well,
and replaced by one of the current key.
"""

from __future__ import annotations

import hashlib
import hmac

from flask import Flask, Request, Response, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadSignature

from schema.secret_keys import SecretKeys


def sign_cookies(app: Flask, keys: SecretKeys) -> None:
    """Set the keys and the name of the app's cookie. It has a name of its own, because cookies ignore ports: two clones
    on one machine would overwrite each other's."""
    app.config.update(SECRET_KEY=_derived(keys.current, "browser session"), SESSION_COOKIE_NAME=_name(keys.current))
    if keys.previous is not None:
        app.config["SECRET_KEY_FALLBACKS"] = [_derived(keys.previous, "browser session")]
        app.session_interface = _CookiesOfTwoKeys(previous_name=_name(keys.previous))


class _CookiesOfTwoKeys(SecureCookieSessionInterface):
    def __init__(self, *, previous_name: str) -> None:
        self._previous_name = previous_name

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        session = super().open_session(app, request)
        previous = request.cookies.get(self._previous_name)
        serializer = self.get_signing_serializer(app)
        if session or previous is None or serializer is None:
            return session
        try:
            content = serializer.loads(previous, max_age=int(app.permanent_session_lifetime.total_seconds()))
        except BadSignature:
            return session
        moved = self.session_class(content)
        moved.modified = True  # so that this answer sets the current key's cookie
        return moved

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        super().save_session(app, session, response)
        if self._previous_name in request.cookies:
            response.delete_cookie(
                self._previous_name,
                domain=self.get_cookie_domain(app),
                path=self.get_cookie_path(app),
                secure=self.get_cookie_secure(app),
                samesite=self.get_cookie_samesite(app),
                httponly=self.get_cookie_httponly(app),
            )


def _name(secret: bytes) -> str:
    return f"runyard_{_derived(secret, 'cookie name')[:8]}"


def _derived(secret: bytes, purpose: str) -> str:
    return hmac.new(secret, purpose.encode(), hashlib.sha256).hexdigest()
