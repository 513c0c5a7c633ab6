"""Parse paths in a worker: a root, and a path below it that cannot leave it.

A client writes a path absolute (`/workspace/src/app.py`, `/agent/.config`) or relative with its root (`{"root":
"workspace", "path": "src/app.py"}`). Runyard stores the second form, normalised: no `.`, no empty component; `.` alone
is the root itself. Any other form, or a `..`, is refused as `path_outside_workspace`.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, model_validator
from pydantic_core import PydanticCustomError

from schema.wire import Request, Text
from schema.workspace_api import Root

ROOTS: dict[Root, str] = {"workspace": "/workspace", "agent": "/agent"}
MAX_PATH_BYTES = 4000
MAX_NAME_BYTES = 255
OUTSIDE = "path_outside_workspace"
TOP = "."


def _refused(path: str, why: str) -> PydanticCustomError:
    return PydanticCustomError(OUTSIDE, "{path}: {why}", {"path": path[:MAX_PATH_BYTES], "why": why})


def normalised(path: str) -> str:
    """Return the path relative, without `.` and empty components; TOP for the root itself. Raises
    PydanticCustomError."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if "\x00" in path:
        raise _refused(path.replace("\x00", "?"), "it contains the NUL character")
    if ".." in parts:
        raise _refused(path, "it contains `..`")
    if _bytes_of(path) > MAX_PATH_BYTES or any(_bytes_of(part) > MAX_NAME_BYTES for part in parts):
        why = f"a path has at most {MAX_PATH_BYTES} bytes, each name in it {MAX_NAME_BYTES}"
        raise PydanticCustomError("path_too_long", "{why}", {"why": why})
    return "/".join(parts) or TOP


def _bytes_of(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def located(path: str, root: Root | None = None) -> tuple[Root, str]:
    """Return the root and the normalised path below it.

    A relative path needs `root`; an absolute one must not leave it. Raises PydanticCustomError, of type OUTSIDE unless
    the path is too long.
    """
    clean = normalised(path)
    if not path.startswith("/"):
        if root is None:
            raise _refused(path, "start it with /workspace/ or /agent/, or name its root")
        return root, clean
    first, _, rest = clean.partition("/")
    named: Root | None = next((name for name, folder in ROOTS.items() if folder == f"/{first}"), None)
    if named is None or root not in (None, named):
        where = " or ".join(ROOTS.values()) if root is None else ROOTS[root]
        raise _refused(path, f"it is not below {where}")
    return named, rest or TOP


def absolute(root: Root, path: str) -> str:
    """Return the path as people and manifests write it."""
    return ROOTS[root] if path == TOP else f"{ROOTS[root]}/{path}"


class RootedPath(Request):
    """A path in a worker, given as an absolute path or with its root."""

    root: Root
    path: Text

    @model_validator(mode="before")
    @classmethod
    def _normalise(cls, value: Any) -> Any:
        value = {"path": value} if isinstance(value, str) else value
        if not isinstance(value, dict) or not isinstance(value.get("path"), str):
            return value
        root = value.get("root")
        if root is not None and (not isinstance(root, str) or root not in ROOTS):
            return value
        root, path = located(value["path"], root)
        return {**value, "root": root, "path": path}

    @property
    def absolute(self) -> str:
        return absolute(self.root, self.path)


Rooted = TypeVar("Rooted", bound=RootedPath)


def not_the_root(path: Rooted) -> Rooted:
    """Validate that the path is below its root. Raises ValueError."""
    if path.path == TOP:
        raise ValueError(f"must name a path below {ROOTS[path.root]}, not the whole root")
    return path


Below = Annotated[RootedPath, AfterValidator(not_the_root)]
"""A path that is not the root itself."""
