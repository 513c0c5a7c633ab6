"""Define an app's runtime manifest: the parts of the app's workspaces, and the paths that a run requires.

```json
{
  "runtimeVersion": "0.1.0",
  "seedFiles": [{"path": "/workspace/README.md", "content": "Hello\\n", "mode": "644"},
                {"root": "agent", "path": ".config/tool.bin", "contentBase64": "AAEC"}],
  "mountPoints": ["/workspace/.cache"],
  "cleanupRules": ["/workspace/**/*.pid", {"root": "workspace", "path": "tmp"}],
  "requiredPaths": ["/workspace/README.md"],
  "protectedPaths": ["/workspace/.git"],
  "ignore": ["node_modules/.cache/"]
}
```
Every key is optional; an unknown key is an error. schema/paths.py describes paths.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails

from schema.errors import Invalid, PathOutsideWorkspace
from schema.paths import OUTSIDE, Below, RootedPath, not_the_root
from schema.wire import Json, Request, Text

MAX_SEED_BYTES = 262_144
MAX_SEEDS_BYTES = 1_048_576
DEFAULT_IGNORE = ("__pycache__/", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", ".DS_Store")
"""Not saved unless an app says otherwise: files that tools recreate by themselves."""
_IGNORE_SPECIAL = re.compile(r"([\\*?\[\]!# ])")
_ONLY_WILDCARDS = re.compile(r"[*?/]*")

Version = Annotated[Text, StringConstraints(min_length=1, max_length=100)]


class SeedFile(RootedPath):
    """A file that the app brings.

    Its bytes are UTF-8 text in `content`, or base64 in `contentBase64`: at most 256 KiB a file and 1 MiB together.
    `mode` is octal, without set-id and sticky bits.
    """

    content: Text | None = None
    content_base64: Text | None = None
    mode: str = Field(default="644", pattern=r"^0?[0-7]{3}$")

    @model_validator(mode="after")
    def _has_one_content(self) -> SeedFile:
        not_the_root(self)
        if (self.content is None) == (self.content_base64 is None):
            raise ValueError("set either content or contentBase64")
        if len(self.data) > MAX_SEED_BYTES:
            raise ValueError(f"a seed may have at most {MAX_SEED_BYTES} bytes")
        return self

    @property
    def data(self) -> bytes:
        if self.content is not None:
            return self.content.encode()
        try:
            return base64.b64decode(self.content_base64 or "", validate=True)
        except binascii.Error:
            raise ValueError("contentBase64 is not base64") from None


def _keeps_something(rule: RootedPath) -> RootedPath:
    if any(_ONLY_WILDCARDS.fullmatch(part) is None for part in rule.path.split("/")):
        return rule
    raise ValueError("this rule would delete everything; include at least one literal character")


CleanupRule = Annotated[Below, AfterValidator(_keeps_something)]
"""A path to delete, with everything below it, at each restore. `*` and `?` match parts of a name, `**` any number of
folders."""


def _is_pattern(pattern: str) -> str:
    if not pattern.strip("/! ") or "\n" in pattern or ".." in pattern.split("/"):
        raise ValueError("must be a pattern as in a .gitignore file, on one line and without `..`")
    return pattern


IgnorePattern = Annotated[Text, StringConstraints(max_length=1000), AfterValidator(_is_pattern)]


class RuntimeManifest(Request):
    """The manifest of an app.

    `mountPoints` are folders for a mounted cache or tools: created when missing and never saved, so they are below
    /workspace. A run is blocked when `requiredPaths` are missing after everything else is done. Seeds and cleanup rules
    never change `protectedPaths` or anything below. `ignore` holds patterns as in .gitignore of files not to save, by
    default DEFAULT_IGNORE.
    """

    runtime_version: Version | None = None
    names_all_faults: ClassVar[bool] = True
    seed_files: list[SeedFile] = Field(default_factory=list, max_length=500)
    mount_points: list[Below] = Field(default_factory=list, max_length=50)
    cleanup_rules: list[CleanupRule] = Field(default_factory=list, max_length=50)
    required_paths: list[RootedPath] = Field(default_factory=list, max_length=1000)
    protected_paths: list[Below] = Field(default_factory=list, max_length=1000)
    ignore: list[IgnorePattern] | None = Field(default=None, max_length=500)

    def stored(self) -> Json:
        """Return the manifest as stored: the given keys, with normalised paths."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @model_validator(mode="after")
    def _fits_together(self) -> RuntimeManifest:
        if sum(len(seed.data) for seed in self.seed_files) > MAX_SEEDS_BYTES:
            raise ValueError(f"all seeds together may have at most {MAX_SEEDS_BYTES} bytes")
        seeds = Counter(seed.absolute for seed in self.seed_files)
        for path, times in seeds.items():
            if times > 1:
                raise ValueError(f"{path} is listed as a seed twice")
        for path in [*seeds, *(mount.absolute for mount in self.mount_points)]:
            above = next((folder for folder in _above(path) if folder in seeds), None)
            if above is not None:
                raise ValueError(f"{path} cannot be below the seed {above}, which is a file")
        for mount in self.mount_points:
            if mount.root != "workspace":
                raise ValueError(f"{mount.absolute} cannot be a mount point: mount points must be below /workspace")
            if mount.absolute in seeds:
                raise ValueError(f"{mount.absolute} is both a seed and a mount point")
        return self


def read_runtime_manifest(manifest: Json) -> RuntimeManifest:
    """Parse a manifest. Raises PathOutsideWorkspace with all such paths, or else Invalid with the first fault."""
    try:
        return RuntimeManifest.model_validate(manifest)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
    outside = [fault for fault in faults if fault["type"] == OUTSIDE]
    if outside:
        detail = f"{_where(outside[0]['loc'])}: {outside[0]['msg']}"
        raise PathOutsideWorkspace(detail, paths=[fault["ctx"]["path"] for fault in outside])
    raise Invalid(f"{_where(faults[0]['loc'])}: {_message(faults[0])}", code="bad_manifest")


def ignore_patterns(manifest: RuntimeManifest) -> list[str]:
    """Return the patterns of files not to save: the manifest's own or the default ones, and its mount points."""
    own = list(DEFAULT_IGNORE) if manifest.ignore is None else manifest.ignore
    return [*own, *(f"/{_escaped(mount.path)}/" for mount in manifest.mount_points)]


def _escaped(path: str) -> str:
    return _IGNORE_SPECIAL.sub(r"\\\1", path)


def _above(path: str) -> Iterator[str]:
    while path.count("/") > 1:
        path = path.rpartition("/")[0]
        yield path


def _message(fault: ErrorDetails) -> str:
    return fault["msg"].removeprefix("Value error, ")


def _where(loc: tuple[int | str, ...]) -> str:
    return ".".join(map(str, loc)) or "manifest"
