"""Signing a browser in and out: by a one-time code of `make up`, or by a bearer token. Each sign-in is a row."""

from __future__ import annotations

import hmac
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from apiflask import APIBlueprint
from flask import Response, make_response, redirect, request, session
from pydantic import Field

from functions.http.auth import SIGN_IN, public, refuse_other_sites, signed_in_id, who_is_asking
from functions.http.parsing import parsed
from functions.http.schemas import answer
from functions.runtime.periodic import LOCAL_ADMIN
from functions.runtime.process import api_process
from functions.site.pages import page, private
from functions.site.schemas import SignedInAnswer, SignInMethodAnswer, SignInMethodsAnswer
from handlers.access.sign_ins import authenticate_sign_in, end_sign_in, sign_in, sign_in_by_token
from handlers.access.users import user_named
from schema.errors import NotFound, Unauthenticated
from schema.rows import SignInRow
from schema.sql import Conn
from schema.wire import Request, Text

HOME = "/"
MAX_NEXT_LENGTH = 2000
sign_in_pages = APIBlueprint("sign_in_pages", __name__, enable_openapi=False)
sign_in_methods = APIBlueprint("sign_in_methods", __name__, tag="People")


class TokenBody(Request):
    """A bearer token, and the page to go to afterwards."""

    token: Text = Field(min_length=1, max_length=500)
    next: Text = Field(default=HOME, max_length=MAX_NEXT_LENGTH)


@sign_in_methods.get("/api/sign-in/methods")
@public("A page must know how to sign in before anyone has.")
@sign_in_methods.output(SignInMethodsAnswer)
def get_sign_in_methods() -> Response:
    """Ways to sign in"""
    items = [SignInMethodAnswer(method="token", url="/sign-in/token")]
    if api_process().settings.auth == "local":
        items.insert(0, SignInMethodAnswer(method="code", url="/sign-in"))
    return answer(SignInMethodsAnswer(items=items))


@sign_in_pages.get("/sign-in")
@public("The one-time code is the credential; without a code the page only asks for one.")
def get_sign_in() -> Response:
    """Sign this browser in by a code, once for each code; without a code show how to sign in"""
    if request.method == "HEAD":  # a link checker; the code is for the person who follows the link
        return Response()
    target = local_path(request.args.get("next", ""))
    if "code" not in request.args:
        return _ask(target)
    if not use_code(request.args["code"], api_process().settings.sign_in_code_file):
        return page("code_refused.html", status=403)
    with api_process().database.transaction() as conn:
        made = sign_in(conn, user_named(conn, LOCAL_ADMIN).id, "code", user_agent=_user_agent())
        _replace(conn, made)
    return private(make_response(redirect(target, 303)))


@sign_in_pages.post("/sign-in/token")
@public("The token is the credential.")
def post_sign_in_token() -> Response:
    """Sign this browser in by a bearer token: JSON in and out, or a form that leads to `next`"""
    refuse_other_sites()
    is_form = request.mimetype == "application/x-www-form-urlencoded"
    submitted: Any = request.form.to_dict() if is_form else request.get_json(force=True)
    body = parsed(TokenBody, submitted, where="body")
    target = local_path(body.next)
    try:
        with api_process().database.transaction() as conn:
            made = sign_in_by_token(conn, body.token.strip(), user_agent=_user_agent())
            _replace(conn, made)
    except Unauthenticated:
        if is_form:
            return _ask(target, is_refused=True)
        raise
    if is_form:
        return private(make_response(redirect(target, 303)))
    return private(answer(SignedInAnswer(next=target, expires_at=made.expires_at)))


@sign_in_pages.post("/sign-out")
@public("Whoever has the cookie may give it up, also when it has ended already.")
def sign_out() -> Response:
    """End this browser's sign-in, everywhere and at once"""
    refuse_other_sites()
    with api_process().database.transaction() as conn:
        _end_present(conn)
    session.clear()
    return private(make_response(redirect(HOME, 303)))


def local_path(target: str) -> str:
    """The target if it is a path of this origin, else the front page: a sign-in never leads to another site."""
    is_path = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if is_path and len(target) <= MAX_NEXT_LENGTH and "\\" not in target else HOME


def use_code(code: str, file: Path | None) -> bool:
    """Compare the code with the digest in the file; delete the file on a match. Of two concurrent users, one wins."""
    try:
        expected = "" if file is None else file.read_text().strip()
        if not expected or not hmac.compare_digest(sha256(code.encode()).hexdigest(), expected):
            return False
        Path(file or "").unlink()
    except FileNotFoundError:
        return False
    return True


def _ask(target: str, *, is_refused: bool = False) -> Response:
    if not is_refused and who_is_asking() is not None:
        return private(make_response(redirect(target, 303)))
    values = {"target": target, "is_refused": is_refused, "is_local": api_process().settings.auth == "local"}
    return page("sign_in.html", status=401 if is_refused else 200, **values)


def sign_in_address(target: str) -> str:
    """Where a browser that is not signed in goes, and comes back from."""
    return f"/sign-in?{urlencode({'next': local_path(target)})}"


def _replace(conn: Conn, made: SignInRow) -> None:
    """This browser now has the new sign-in; the one that it had ends with it."""
    _end_present(conn)
    session.clear()
    session.permanent = True
    session[SIGN_IN] = str(made.id)


def _end_present(conn: Conn) -> None:
    known = signed_in_id()
    if known is None:
        return
    try:
        end_sign_in(conn, authenticate_sign_in(conn, known), known)
    except (Unauthenticated, NotFound):
        return


def _user_agent() -> str:
    return request.headers.get("User-Agent", "")
