"""Say where the paths that an agent names lie: below the workspace or below the agent's home."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from schema.paths import TOP
from schema.wire import Json
from schema.workspace_api import Root

LONGEST_PATH = 1024
MOST_PATHS = 1000
"""Texts of a tool call that are followed."""


@dataclass(frozen=True)
class AgentFolders:
    """The folders of a turn, absolute and without links."""

    workspace: Path
    home: Path
    cwd: Path

    @property
    def relative_cwd(self) -> str:
        """Return the working folder relative to the workspace; `.` for the workspace itself."""
        return os.path.relpath(self.cwd, self.workspace)

    def placed(self, entries: Iterable[Json]) -> list[Json]:
        """Return each entry with `root` and `relativePath` beside its `path`, unless the path lies elsewhere.

        Links are not followed: the files may not exist yet.
        """
        return [{**entry, **self._place(entry.get("path"))} for entry in entries]

    def led_elsewhere(self, texts: Iterable[str]) -> list[str]:
        """Return where the texts lead, as absolute paths, if they are paths that go through links."""
        asked = [text for text in texts if 0 < len(text) <= LONGEST_PATH and not {"\n", "\0"} & set(text)]
        found: dict[str, None] = {}
        for text in asked[:MOST_PATHS]:
            absolute = self._absolute(text)
            resolved = os.path.realpath(absolute)
            if resolved != absolute:
                found[resolved] = None
        return list(found)

    def _place(self, path: object) -> Json:
        if not isinstance(path, str) or not path:
            return {}
        absolute = self._absolute(path)
        roots: list[tuple[Root, Path]] = [("workspace", self.workspace), ("agent", self.home)]
        for root, folder in roots:
            if absolute == str(folder):
                return {"root": root, "relativePath": TOP}
            if absolute.startswith(f"{folder}/"):
                return {"root": root, "relativePath": absolute.removeprefix(f"{folder}/")}
        return {}

    def _absolute(self, path: str) -> str:
        if path.startswith("file://"):
            path = unquote(urlsplit(path).path)
        if path == "~" or path.startswith("~/"):
            path = f"{self.home}{path[1:]}"
        return "/" + posixpath.normpath(posixpath.join(str(self.cwd), path)).lstrip("/")
