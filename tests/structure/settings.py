"""Every setting that the code reads from its environment, by name: fields of settings classes and direct reads."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from tests.settings_page import FILE, variables
from tests.structure.repository import PACKAGES, python_files, tree_of

SETTING = re.compile(r"`([A-Z][A-Z0-9_]+)`")


def settings_modules() -> list[ModuleType]:
    paths = [path for path in python_files(*PACKAGES) if path.name == "settings.py"]
    return [importlib.import_module(".".join(path.with_suffix("").parts)) for path in paths]


def settings_classes() -> list[type[BaseSettings]]:
    return [
        value
        for module in settings_modules()
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, BaseSettings) and value.__module__ == module.__name__
    ]


def fields() -> dict[str, list[FieldInfo]]:
    """Environment name of each setting, with its field in each deployable that reads it."""
    found: dict[str, list[FieldInfo]] = {}
    for kind in settings_classes():
        for name, field in variables(kind):
            found.setdefault(name, []).append(field)
    return found


def direct_reads() -> set[str]:
    """Names in `environ.get("NAME")`, `environ["NAME"]` and `getenv("NAME")`, however the mapping is reached."""
    return {
        name
        for path in python_files(*PACKAGES)
        for node in ast.walk(tree_of(path))
        if (name := name_read(node)) is not None and name.isupper()
    }


def name_read(node: ast.AST) -> str | None:
    if isinstance(node, ast.Call) and node.args:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "get" and is_environment(node.func.value):
            return constant(node.args[0])
        if isinstance(node.func, ast.Attribute) and node.func.attr == "getenv":
            return constant(node.args[0])
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and is_environment(node.value):
        return constant(node.slice)
    return None


def is_environment(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in {"environ", "environment", "env"}


def constant(node: ast.AST) -> str | None:
    value: Any = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) else None


def documented() -> dict[str, list[str]]:
    """The rows of the settings page: each setting's name, with the other cells."""
    return dict(rows_of(FILE.read_text(encoding="utf-8")))


def rows_of(text: str) -> Iterator[tuple[str, list[str]]]:
    for line in text.splitlines():
        if line.startswith("| `"):
            first, *others = [cell.strip() for cell in line.strip().strip("|").split("|")]
            for name in SETTING.findall(first):
                yield name, others
