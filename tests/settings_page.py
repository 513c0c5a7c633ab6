"""docs/settings.md, written from the settings classes: `python -m tests.settings_page`, or `make settings`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from executor.process.settings import ExecutorSettings
from functions.runtime.settings import ApiSettings
from jobs.hosts.settings import DockerSettings
from jobs.runtime.settings import JobSettings
from schema.sealed_environment import CONTROL_PLANE_SECRETS

FILE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"

NONE = "–"
REQUIRED = "**required**"

GROUPS: tuple[tuple[str, type[BaseSettings], str], ...] = (
    ("API", ApiSettings, "Read by `gunicorn -c functions/gunicorn.conf.py functions.wsgi:app` and by the function."),
    ("Job worker", JobSettings, "Read by `python -m jobs`."),
    ("Docker workers", DockerSettings, "Read by the job worker where `WORKER_HOST` is `docker`."),
    (
        "Executor",
        ExecutorSettings,
        "Given by the job worker to each executor that it starts. Set them only to run an executor yourself "
        "(`WORKER_HOST=external`).",
    ),
)
"""Each deployable with its settings class and a sentence."""

TERMINAL: Mapping[str, tuple[str, str]] = {
    "RUNYARD_URL": ("this clone's own", "Address of the Runyard that `make chat` and `python -m cli` talk to."),
    "RUNYARD_TOKEN": ("this clone's own", "Token that they send."),
    "BASE_IMAGE": (
        "`python:3.11-slim`",
        "Image from which `make executor-image` builds: any with Python 3.11 or later and `useradd`.",
    ),
}
"""Settings that a terminal program reads without a settings class: default and description."""

HEAD = """# Settings

Environment variables, read once at start. A bad value stops the program with a sentence that names the setting.
`make settings` writes this page from the settings classes; a test compares the two.

`make up` sets these itself: {set_by_up}. It also sets the `S3_*` settings of its own object store, unless you name
another. Where `WORKER_HOST` is `docker`, it sets `WORKER_DEPLOYMENT` and `RUNYARD_WORKER_BIND` too.

{secrets} can also be given by file: the same name with `_FILE` holds the file's path, as in `DATABASE_URL_FILE`. So can
every variable that `providers.toml` takes from the environment. Setting both is an error.

The default – means none. A program does not start without a setting marked **required**.
"""
SET_BY_UP = (
    "DATABASE_URL",
    "RUNYARD_SECRET_KEY",
    "RUNYARD_LOCAL_TOKEN_FILE",
    "RUNYARD_SIGN_IN_CODE_FILE",
)


def page() -> str:
    """The whole page, as it is committed."""
    parts = [HEAD.format(set_by_up=quoted(SET_BY_UP), secrets=quoted(CONTROL_PLANE_SECRETS))]
    of_kind = {kind: dict(variables(kind)) for _, kind, _ in GROUPS}
    both = [name for name in of_kind[ApiSettings] if name in of_kind[JobSettings]]
    readers = {
        name: [fields[name] for fields in of_kind.values() if name in fields] for name in names(of_kind.values())
    }
    parts.append(table("API and job worker", "Both read these. Give both the same values.", both, readers))
    shown = set(both)
    for heading, kind, sentence in GROUPS:
        above = [name for name in of_kind[kind] if name in shown and name not in both]
        also = f" It also reads {quoted(above)} from above." if above else ""
        own = [name for name in of_kind[kind] if name not in shown]
        parts.append(table(heading, sentence + also, own, readers))
        shown |= set(own)
    return "\n".join([*parts, terminal()])


def names(of_kind: Iterable[Mapping[str, FieldInfo]]) -> list[str]:
    return list(dict.fromkeys(name for fields in of_kind for name in fields))


def quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def terminal() -> str:
    rows = [f"| `{name}` | {default} | {text} |" for name, (default, text) in TERMINAL.items()]
    return lines("Terminal", "Read by the `make` targets and `python -m cli`.", rows)


def table(heading: str, sentence: str, names: Iterable[str], readers: Mapping[str, list[FieldInfo]]) -> str:
    return lines(heading, sentence, [row(name, readers[name]) for name in names])


def lines(heading: str, sentence: str, rows: Iterable[str]) -> str:
    return "\n".join(
        [f"## {heading}", sentence, "", "| setting | default | what it does |", "|---|---|---|", *rows, ""]
    )


def row(name: str, readers: list[FieldInfo]) -> str:
    """One line of a table. Raises ValueError where the readers describe the setting in different words."""
    said = {field.description for field in readers}
    if len(said) != 1 or None in said:
        raise ValueError(f"{name} needs one description, and has {said}")
    return f"| `{name}` | {default_of(readers)} | {said.pop()} |"


def default_of(readers: list[FieldInfo]) -> str:
    """The default as the page shows it: in words where a field says so, else that of the first reader with one.
    A setting that not all readers require is none of the required ones."""
    shown = [in_words(field) or as_shown(field) for field in readers]
    if set(shown) == {REQUIRED}:
        return REQUIRED
    return next((text for text in shown if text not in (NONE, REQUIRED)), NONE)


def in_words(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra["default"]) if isinstance(extra, dict) and "default" in extra else ""


def as_shown(field: FieldInfo) -> str:
    if field.is_required():
        return REQUIRED
    return NONE if field.default in (None, "") or isinstance(field.default, SecretStr) else f"`{value(field.default)}`"


def value(default: object) -> str:
    """A default as its environment variable would be written."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, Enum):
        return str(default.value)
    if isinstance(default, float) and default.is_integer():
        return str(int(default))
    if isinstance(default, Path):
        return default.as_posix()
    if isinstance(default, tuple | list | frozenset):
        return ",".join(value(item) for item in default)
    return str(default)


def variables(kind: type[BaseSettings]) -> Iterator[tuple[str, FieldInfo]]:
    """Each field of a settings class with the name of its environment variable."""
    for field_name, field in kind.model_fields.items():
        alias = field.validation_alias
        if alias is not None and not isinstance(alias, str):
            raise TypeError(f"{kind.__name__}.{field_name} has an alias that is no name")
        yield (alias or f"{kind.model_config.get('env_prefix', '')}{field_name}").upper(), field


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
