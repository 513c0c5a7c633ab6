"""Read providers.toml. An invalid file raises one BadRegistry that names file, line and key."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from executor.agents.environment import inherited
from executor.agents.provider import (
    Counts,
    Dialect,
    HomeFile,
    ListedModel,
    Price,
    PriceTable,
    Provider,
    RunMode,
    Span,
    Variable,
)
from executor.agents.totals import TOTALS_FILE
from executor.secret_search import is_plausible
from schema.errors import RunyardError
from schema.options import provider_options

CODE = Path(__file__).parents[2]


class BadRegistry(RunyardError):
    """The providers file is invalid."""

    code: ClassVar[str] = "bad_registry"


@dataclass(frozen=True)
class Registry:
    """All providers by name, in the file's order."""

    providers: Mapping[str, Provider]

    def find(self, name: str) -> Provider | None:
        """Return the provider with this name or alias, or None."""
        direct = self.providers.get(name)
        return direct or next((provider for provider in self.providers.values() if name in provider.aliases), None)

    def secrets(self) -> frozenset[str]:
        """Return the secret values of all providers, as they are now."""
        return frozenset(value for provider in self.providers.values() for value in provider.secrets())


def load_registry(path: Path, *, agents_dir: Path, environment: Mapping[str, str]) -> Registry:
    """Read the file, in TOML or the same structure in JSON. Raises BadRegistry.

    `environment` is the executor's own. Agents get only the variables that an entry names (`from_env`) and a short list
    of harmless ones (PATH, LANG, proxies, ...).
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        tables = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise BadRegistry(f"The executor cannot read {path}: {error}") from error
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise BadRegistry(f"{path}: {error}") from error
    try:
        parsed = _File.model_validate(tables)
    except ValidationError as error:
        raise BadRegistry(_first_fault(path, text, error)) from None
    secrets = {name: _variable(name, entry, path.parent, environment) for name, entry in parsed.secrets.items()}
    providers = {
        name: replace(
            _provider(name, entry, base=path.parent, agents_dir=agents_dir, environment=environment),
            app_secrets=MappingProxyType(secrets),
        )
        for name, entry in parsed.providers.items()
    }
    return Registry(MappingProxyType(providers))


def _home_path(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts:
        raise ValueError("must be a path inside the agent's home")
    return str(parts)


def _option(name: str) -> str:
    if name not in provider_options():
        raise ValueError(f"is none of the options {', '.join(provider_options())}")
    return name


HomePath = Annotated[str, AfterValidator(_home_path)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
OptionName = Annotated[str, AfterValidator(_option)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _VariableEntry(_Entry):
    value: str | None = None
    from_env: VariableName | None = None
    secret_file: Path | None = None
    secret: bool | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if sum(source is not None for source in (self.value, self.from_env, self.secret_file)) != 1:
            raise ValueError("needs exactly one of value, from_env, secret_file")
        return self


class _SecretEntry(_VariableEntry):
    secret: bool | None = True

    @model_validator(mode="after")
    def _is_elsewhere(self) -> Self:
        if self.value is not None or not self.secret:
            raise ValueError("needs from_env or secret_file, and is always a secret")
        return self


class _FileEntry(_Entry):
    path: HomePath
    content: str | None = None
    source: Path | None = None

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.content is None) == (self.source is None):
            raise ValueError("needs exactly one of content, source")
        return self


class _PriceEntry(_Entry):
    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached_read: float | None = Field(default=None, ge=0)
    cached_write: float | None = Field(default=None, ge=0)


class _PriceTableEntry(_Entry):
    version: str = Field(min_length=1)
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    models: dict[str, _PriceEntry] = {}


class _CountsEntry(_Entry):
    tokens: Span | None = None
    cost: Span | None = None


class _ModelEntry(_Entry):
    id: str = Field(min_length=1, max_length=200)
    title: str | None = None
    context_size: int | None = Field(default=None, gt=0)


class _ProviderEntry(_Entry):
    title: str = ""
    command: str = Field(min_length=1)
    args: list[str] = []
    aliases: list[Name] = []
    npm: Name | None = None
    dialect: Dialect = "acp"
    environment: dict[VariableName, _VariableEntry] = {}
    files: list[_FileEntry] = []
    keep: list[HomePath] = []
    login: list[VariableName] = []
    authenticate: str | None = None
    model: str | None = None
    models: list[_ModelEntry] = []
    mode: RunMode = "ask"
    modes: dict[RunMode, str] = {}
    options: list[OptionName] = []
    capabilities: dict[str, bool] = {}
    prices: _PriceTableEntry | None = None
    counts: _CountsEntry = _CountsEntry()
    start_seconds: float = Field(default=60.0, gt=0)


class _File(_Entry):
    providers: dict[Name, _ProviderEntry]
    secrets: dict[Name, _SecretEntry] = {}

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        seen = set(self.providers)
        for name, entry in self.providers.items():
            for alias in entry.aliases:
                if alias in seen:
                    raise ValueError(f"the alias {alias!r} of {name!r} is taken")
                seen.add(alias)
        return self


def _provider(
    name: str, entry: _ProviderEntry, *, base: Path, agents_dir: Path, environment: Mapping[str, str]
) -> Provider:
    return Provider(
        name=name,
        title=entry.title or name,
        command=_filled(entry.command),
        args=tuple(_filled(argument) for argument in entry.args),
        aliases=tuple(entry.aliases),
        npm=entry.npm,
        agents_dir=agents_dir,
        dialect=entry.dialect,
        environment=tuple(_variable(key, variable, base, environment) for key, variable in entry.environment.items()),
        host_environment=MappingProxyType(inherited(environment)),
        files=tuple(_file(file, base) for file in entry.files),
        keep=(*entry.keep, TOTALS_FILE),
        login=tuple(entry.login),
        authenticate=entry.authenticate,
        model=entry.model,
        models=tuple(
            ListedModel(id=model.id, title=model.title, context_size=model.context_size) for model in entry.models
        ),
        mode=entry.mode,
        modes=MappingProxyType({str(mode): own for mode, own in entry.modes.items()}),
        options=tuple(entry.options),
        capabilities=MappingProxyType(dict(entry.capabilities)),
        prices=_prices(entry.prices),
        counts=Counts(tokens=entry.counts.tokens, cost=entry.counts.cost),
        start_seconds=entry.start_seconds,
    )


def _variable(name: str, entry: _VariableEntry, base: Path, environment: Mapping[str, str]) -> Variable:
    if entry.secret_file is not None:
        return Variable(name=name, secret_file=base / entry.secret_file.expanduser(), secret=True)
    if entry.from_env is not None:
        value = environment.get(entry.from_env)
        return Variable(name=name, value=value, secret=is_plausible(value) if entry.secret is None else entry.secret)
    return Variable(name=name, value=_filled(entry.value or ""))


def _filled(text: str) -> str:
    """Replace `{python}` by the running Python and `{runyard}` by the folder of Runyard's code."""
    return text.replace("{python}", sys.executable).replace("{runyard}", str(CODE))


def _file(entry: _FileEntry, base: Path) -> HomeFile:
    source = None if entry.source is None else base / entry.source.expanduser()
    return HomeFile(path=entry.path, content=entry.content, source=source)


def _prices(entry: _PriceTableEntry | None) -> PriceTable | None:
    if entry is None:
        return None
    models = {name: Price(**price.model_dump()) for name, price in entry.models.items()}
    return PriceTable(version=entry.version, currency=entry.currency, models=MappingProxyType(models))


def _first_fault(path: Path, text: str, error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_input=False)[0]
    keys = [str(part) for part in fault["loc"]]
    where = f"{path}:{_line_of(text, keys)}" if keys else str(path)
    return f"{where}: {'.'.join(keys) or 'file'}: {fault['msg'].removeprefix('Value error, ')}"


def _line_of(text: str, keys: list[str]) -> int:
    """Return the line (from 1) of the deepest of these keys that is found, searched table by table."""
    lines, line = text.splitlines(), 0
    for key in keys:
        word = re.compile(rf"(^|[\s.\[{{,\"']){re.escape(key)}([\s.\]=\"']|$)")
        later = (number for number in range(line, len(lines)) if word.search(lines[number].split("#")[0]))
        line = next(later, line)
    return line + 1
