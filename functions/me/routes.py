"""The signed-in user: who they are, their settings, their tokens, and the browsers that they signed in."""

from __future__ import annotations

from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, request

from functions.http.auth import actor, permission
from functions.http.openapi import conflicts
from functions.http.parsing import page_cursor, read_page_cursor
from functions.http.schemas import PageQuery, answer
from functions.me.schemas import (
    IssuedTokenAnswer,
    MeAnswer,
    NewTokenBody,
    SettingsAnswer,
    SignInAnswer,
    SignInsAnswer,
    TokenAnswer,
    TokensAnswer,
)
from functions.runtime.process import api_process
from handlers.access.permissions import permissions_of
from handlers.access.sign_ins import end_sign_in, sign_ins_of
from handlers.access.tokens import NewToken, issue_own_token, revoke_token, usable_tokens_of
from handlers.access.user_settings import merge_settings, settings_of
from schema.errors import Invalid
from schema.rows import SignInRow, TokenRow

me = APIBlueprint("me", __name__, tag="People")


@me.get("/api/me")
@permission("me:read")
@me.output(MeAnswer)
def get_me() -> Response:
    """Who you are, and what you may do"""
    with api_process().transaction() as conn:
        settings = settings_of(conn, actor())
    return answer(
        MeAnswer(
            user_id=actor().user_id,
            name=actor().name,
            role=actor().role,
            permissions=sorted(permissions_of(actor())),
            signed_in_by=actor().signed_in_by,
            expires_at=actor().expires_at,
            settings=settings,
        )
    )


@me.patch("/api/me/settings")
@permission("me:write")
@me.output(SettingsAnswer)
def patch_settings() -> Response:
    """Change your settings

    A JSON object: its keys are set, those that are null are removed, all others stay.
    """
    changes = request.get_json(force=True)
    if not isinstance(changes, dict):
        raise Invalid("Settings are a JSON object.")
    with api_process().transaction() as conn:
        return answer(SettingsAnswer(settings=merge_settings(conn, actor(), changes)))


@me.get("/api/me/tokens")
@permission("me:read")
@me.input(PageQuery, location="query")
@me.output(TokensAnswer)
def list_tokens(query_data: PageQuery) -> Response:
    """Your tokens, newest first

    Without those that were revoked or have expired.
    """
    with api_process().transaction() as conn:
        tokens = usable_tokens_of(conn, actor(), before=read_page_cursor(query_data.cursor), limit=query_data.limit)
    last = tokens[-1] if len(tokens) == query_data.limit else None
    cursor = page_cursor(last.created_at, last.id) if last else None
    return answer(TokensAnswer(items=[_token_answer(token) for token in tokens], next_cursor=cursor))


@me.post("/api/me/tokens")
@permission("me:write")
@me.input(NewTokenBody)
@me.output(IssuedTokenAnswer, status_code=201)
@me.doc(responses=conflicts("too_many_tokens"))
def create_token(json_data: NewTokenBody) -> Response:
    """Make a token

    It may do no more than you may do here. The secret is in this answer and never again.
    """
    new = NewToken(label=json_data.label, scopes=json_data.scopes, days=json_data.days)
    with api_process().transaction() as conn:
        issued = issue_own_token(conn, actor(), new)
    shown = _token_answer(issued.row).model_dump()
    return answer(IssuedTokenAnswer(**shown, token=issued.secret), 201, Cache_Control="no-store")


@me.delete("/api/me/tokens/<uuid:token_id>")
@permission("me:write")
@me.output({}, status_code=204)
def delete_token(token_id: UUID) -> Response:
    """Revoke a token of yours

    Sign-ins that were made with it end too.
    """
    with api_process().transaction() as conn:
        revoke_token(conn, actor(), token_id)
    return Response(status=204)


@me.get("/api/me/sign-ins")
@permission("me:read")
@me.input(PageQuery, location="query")
@me.output(SignInsAnswer)
def list_sign_ins(query_data: PageQuery) -> Response:
    """The browsers that you signed in, newest first"""
    with api_process().transaction() as conn:
        rows = sign_ins_of(conn, actor(), before=read_page_cursor(query_data.cursor), limit=query_data.limit)
    last = rows[-1] if len(rows) == query_data.limit else None
    cursor = page_cursor(last.created_at, last.id) if last else None
    return answer(SignInsAnswer(items=[_sign_in_answer(row) for row in rows], next_cursor=cursor))


@me.delete("/api/me/sign-ins/<uuid:sign_in_id>")
@permission("me:write")
@me.output({}, status_code=204)
def delete_sign_in(sign_in_id: UUID) -> Response:
    """Sign one of your browsers out, everywhere and at once"""
    with api_process().transaction() as conn:
        end_sign_in(conn, actor(), sign_in_id)
    return Response(status=204)


def _token_answer(token: TokenRow) -> TokenAnswer:
    return TokenAnswer(
        token_id=token.id,
        label=token.label,
        scopes=token.scopes,
        created_at=token.created_at,
        last_used_at=token.last_used_at,
        expires_at=token.expires_at,
    )


def _sign_in_answer(row: SignInRow) -> SignInAnswer:
    return SignInAnswer(
        sign_in_id=row.id,
        method=row.method,
        user_agent=row.user_agent,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        current=row.id == actor().sign_in_id,
    )
