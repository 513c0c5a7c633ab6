"""Define the executor's contract for the files of a live workspace, shared by its service and the client in jobs/.

Paths are below the workspace and spelt as in manifests; the empty path is the workspace itself. The executor opens each
as the agent's account, below the workspace and through no link. 404 `unknown_path`: there is nothing, or a link leads
on. 422 `not_a_file`: a folder, a link or a special file.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schema.text_search import TextMatch
from schema.wire import Request, Text, Wire

MOST_HEAD_BYTES = 1 << 20
MOST_PATH = 6000


class LiveFolderQuery(Request):
    """`GET /files/tree`: a folder's items, folders first and in the order of their names, after one of them.

    `after_name` is the last name of the page before; `after_folder` says whether it was a folder.
    """

    path: Text = Field(default="", max_length=MOST_PATH)
    after_name: Text | None = Field(default=None, max_length=MOST_PATH)
    after_folder: bool = False
    limit: int = Field(default=200, ge=1, le=1000)


class LiveItem(Wire):
    """A file, folder or symbolic link. `size` in bytes of a file, `target` of a link. `matches`: lines of a file that a
    search in texts found."""

    path: str
    kind: Literal["file", "folder", "symlink"]
    mtime_ns: int
    mode: int
    size: int | None = None
    target: str | None = None
    matches: list[TextMatch] | None = None


class LiveItems(Wire):
    """`is_partial`: a search ended at a limit or its time, or left out a long file."""

    items: list[LiveItem] = Field(default_factory=list)
    is_partial: bool = False


class LiveSearchQuery(Request):
    """`GET /files/search`: files and folders whose names contain `text` in any case, or files whose text does."""

    text: Text = Field(min_length=1, max_length=200)
    in_text: bool = False
    limit: int = Field(default=100, ge=1, le=500)


class LiveHeadQuery(Request):
    """`GET /files/head`: at most `most` bytes from the file's beginning."""

    path: Text = Field(max_length=MOST_PATH)
    most: int = Field(default=0, ge=0, le=MOST_HEAD_BYTES)


class LiveHead(Wire):
    """A file and its first bytes, in base64. `version` changes whenever the file does."""

    size: int
    mtime_ns: int
    mode: int
    version: str
    head: str = Field(repr=False)


class PutFile(Request):
    """`POST /files/put`: upload the bytes from `start` up to `end` to `link`, a pre-signed address that is a secret.

    409 `file_changing`: the file is no longer the `version` that the caller saw, or became shorter meanwhile.
    """

    path: Text = Field(max_length=MOST_PATH)
    version: Text
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    link: Text = Field(repr=False)


class FilePut(Wire):
    bytes: int


SAVED_END_HEADER = "runyard-saved-end"
"""Of `PUT /files/uploads`: the last ended run whose end the newest snapshot holds. Executors may ignore it."""


class PlaceUploadQuery(Request):
    """`PUT /files/uploads`, with the file as the body. 409 `path_blocked`, `disk_full`."""

    path: Text = Field(min_length=1, max_length=MOST_PATH)


class UploadPlaced(Wire):
    """`written` is false when the path had a file already, which stays as it is."""

    path: str
    written: bool
