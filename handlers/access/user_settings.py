"""A user's own settings: a small JSON object that the portal keeps for them (language, theme, keys)."""

from __future__ import annotations

import json
from dataclasses import dataclass

from handlers.access.permissions import Actor
from schema.errors import TooLarge
from schema.sql import Conn, fetch_the, jsonb
from schema.wire import Json

MAX_SETTINGS_BYTES = 16_384


@dataclass(frozen=True)
class _Settings:
    settings: Json


def settings_of(conn: Conn, actor: Actor) -> Json:
    return fetch_the(conn, "user_settings", _Settings, user_id=actor.user_id).settings


def merge_settings(conn: Conn, actor: Actor, changes: Json) -> Json:
    """Set the given keys and remove those that are null; the settings afterwards.

    Raises TooLarge when they would take more than MAX_SETTINGS_BYTES as JSON.
    """
    merged = fetch_the(conn, "merge_user_settings", _Settings, user_id=actor.user_id, settings=jsonb(changes)).settings
    if len(json.dumps(merged, ensure_ascii=False).encode()) > MAX_SETTINGS_BYTES:
        raise TooLarge(f"A user's settings take at most {MAX_SETTINGS_BYTES} bytes.", code="settings_too_large")
    return merged
