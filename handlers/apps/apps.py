"""Store apps and check their settings on each write."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from pydantic import ValidationError

from schema.errors import Conflict, Invalid, NotFound
from schema.human_policy import read_policy
from schema.options import AppOptions
from schema.rows import AppRow
from schema.runtime_manifest import read_runtime_manifest
from schema.sql import Conn, fetch_all, fetch_one, jsonb
from schema.wire import Json
from schema.worker_limits import read_limits


def list_apps(conn: Conn) -> list[AppRow]:
    return fetch_all(conn, "apps", AppRow)


def app_named(conn: Conn, name: str) -> AppRow:
    app = fetch_one(conn, "app_by_name", AppRow, name=name)
    if app is None:
        raise NotFound(f"There is no app named {name}.", code="unknown_app")
    return app


def app_by_id(conn: Conn, app_id: UUID) -> AppRow:
    app = fetch_one(conn, "app_by_id", AppRow, app_id=app_id)
    if app is None:
        raise NotFound("There is no such app.", code="unknown_app")
    return app


@dataclass(frozen=True, kw_only=True)
class AppSettings:
    """The settings of an app. None keeps a setting, or leaves it empty for a new app. They are checked when stored."""

    options: Json | None = None
    manifest: Json | None = None
    limits: Json | None = None
    human_loop: Json | None = None


AS_BEFORE = AppSettings()


def add_app(conn: Conn, name: str, provider: str, settings: AppSettings = AS_BEFORE) -> AppRow:
    """Add an app. Raises Conflict when the name is taken, Invalid and PathOutsideWorkspace for bad settings."""
    columns = {key: value or jsonb({}) for key, value in _checked(settings).items()}
    app = fetch_one(conn, "insert_app", AppRow, name=name, provider=provider, **columns)
    if app is None:
        raise Conflict(f"There is an app named {name} already.", code="app_exists")
    return app


def set_app(conn: Conn, name: str, *, provider: str | None = None, settings: AppSettings = AS_BEFORE) -> AppRow:
    """Change the given settings and increase the app's version. Raises as add_app, and NotFound."""
    app = fetch_one(conn, "update_app", AppRow, name=name, provider=provider, **_checked(settings))
    if app is None:
        raise NotFound(f"There is no app named {name}.", code="unknown_app")
    return app


def _checked(settings: AppSettings) -> dict[str, object]:
    """Return the settings as stored, with normalized paths."""
    manifest, limits, human_loop = settings.manifest, settings.limits, settings.human_loop
    return {
        "options": None if settings.options is None else jsonb(_read_options(settings.options)),
        "manifest": None if manifest is None else jsonb(read_runtime_manifest(manifest).stored()),
        "limits": None if limits is None else jsonb(read_limits(limits).to_json()),
        "human_loop": None if human_loop is None else jsonb(read_policy(human_loop).to_json()),
    }


def _read_options(options: Json) -> Json:
    """Return the options as they were given. Raises Invalid for one that is unknown or has no valid value."""
    try:
        return AppOptions.model_validate(options).model_dump(mode="json", by_alias=True, exclude_unset=True)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(["options", *map(str, fault["loc"])])
        raise Invalid(f"{where}: {fault['msg']}", code="invalid_app") from None
