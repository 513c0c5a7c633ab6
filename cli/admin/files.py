"""`python -m cli files`: list, find, get and compare the files of a session, live or at any run, over the API."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from uuid import UUID

from cli.admin.remote import RemoteVerb, add_remote_verb
from cli.chat.client import Api
from cli.chat.screen import visible
from cli.table import print_table
from cli.times import moment_of, moment_words
from schema.run_ends import EXACT_HEADER, NO_END_SAVED
from schema.wire import Json

if TYPE_CHECKING:
    from cli.commands import Commands

PAGE = 1000
RESTORE_SECONDS = 150.0
CHANGES = {"added": "A", "removed": "D", "changed": "M"}


def add_commands(commands: Commands) -> None:
    about = "list, find, get, compare, upload and put back the files of a session, live or saved; no worker is needed"
    verbs = commands.add_parser("files", help=about, description=about).add_subparsers(metavar="VERB", required=True)
    lister = _verb(verbs, "list", "list a folder", list_files)
    _add_state(lister)
    lister.add_argument("path", nargs="?", default="")
    putter = _verb(verbs, "put", "upload files into the workspace, and print their paths there", put_files)
    putter.add_argument("file", type=Path, nargs="+")
    restorer = _verb(verbs, "restore", "put a file or folder of an older run back into the workspace", put_back)
    restorer.add_argument("path")
    state = restorer.add_mutually_exclusive_group(required=True)
    state.add_argument("--run", dest="at_run", type=UUID, metavar="ID", help="as it was after this run")
    state.add_argument("--snapshot", type=UUID, metavar="ID", help="as this snapshot has it")
    restorer.add_argument(
        "--remove-missing", action="store_true", help="remove the path if the older state lacks it (undoes a restore)"
    )
    differ = _verb(verbs, "diff", "list what changed between two runs or snapshots, or show one file's patch", diff)
    _add_root(differ)
    differ.add_argument("before", type=UUID, metavar="FROM")
    differ.add_argument("after", type=UUID, metavar="TO")
    differ.add_argument("path", nargs="?")
    finder = _verb(verbs, "search", "find files by name, or with --text by their text", search)
    _add_state(finder)
    finder.add_argument("words", metavar="TEXT")
    finder.add_argument("--text", action="store_true", help="search in files of at most 1 MiB")
    for parser in (lister, putter, restorer, differ, finder):
        parser.add_argument("--json", action="store_true", help="print the API's JSON")
    getter = _verb(verbs, "get", "write a file to disk, or to standard output with -o -", get_file)
    _add_state(getter)
    getter.add_argument("path")
    getter.add_argument("-o", "--output", metavar="FILE", help="default: the file's own name in this folder")
    zipper = _verb(verbs, "zip", "write a folder as a zip to disk, or to standard output with -o -", get_zip)
    _add_state(zipper)
    zipper.add_argument("path", nargs="?", default="")
    zipper.add_argument("-o", "--output", metavar="FILE", help="default: the folder's name and .zip")


def _verb(verbs: Commands, name: str, about: str, run: RemoteVerb) -> argparse.ArgumentParser:
    parser = add_remote_verb(verbs, name, about, run)
    parser.add_argument("session", type=UUID, help="the session's id")
    return parser


def _add_state(parser: argparse.ArgumentParser) -> None:
    """Let the caller name which files, and of which time: live, saved last or after a run."""
    parser.add_argument(
        "--run", dest="at_run", type=UUID, metavar="ID", help="as they were after this run; default: newest"
    )
    parser.add_argument("--saved", action="store_true", help="as saved last, also while a worker is at work")
    _add_root(parser)


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root",
        choices=["workspace", "agent"],
        default="workspace",
        help="agent: the agent's home; default: workspace",
    )


def list_files(api: Api, args: argparse.Namespace) -> int:
    """Print a folder's items."""
    items = list(_all_pages(api, "tree", {**_query(args), "limit": PAGE}, items="items"))
    if args.json:
        print(json.dumps(items))
    else:
        print_table(("kind", "bytes", "changed", "name"), [_cells(item) for item in items])
    return 0


def put_files(api: Api, args: argparse.Namespace) -> int:
    """Upload the files in their order, and print the path of each. JSON lists also those before one that failed."""
    uploaded: list[Json] = []
    try:
        for file in args.file:
            uploaded.append(api.upload(args.session, file))
            if not args.json:
                later = "" if uploaded[-1]["placed"] else " (in the workspace before the next run)"
                print(f"{uploaded[-1]['path']}{later}")
    finally:
        if args.json:
            print(json.dumps(uploaded))
    return 0


def put_back(api: Api, args: argparse.Namespace) -> int:
    """Put the path back, and say how to undo it."""
    body = {
        "sessionId": str(args.session),
        "path": args.path,
        "runId": str(args.at_run) if args.at_run else None,
        "snapshot": str(args.snapshot) if args.snapshot else None,
        "whenMissing": "remove" if args.remove_missing else "refuse",
    }
    named = {name: value for name, value in body.items() if value is not None}
    done = api.send("POST", "/api/files/restore", body=named, most_tries=1, timeout=RESTORE_SECONDS)
    _say_when_inexact(done)
    if args.json:
        print(json.dumps(done))
        return 0
    print(f"{done['files']} written, {done['removed']} removed, {done['bytes']} bytes")
    undo = f"files restore {args.session} {shlex.quote(args.path)} --snapshot {done['undo']['snapshot']}"
    print(f"Undo: python -m cli {undo} --remove-missing", file=sys.stderr)
    return 0


def diff(api: Api, args: argparse.Namespace) -> int:
    """Print changed files, one a line: A, D or M, added and removed lines, path. Of one path print the patch."""
    named = {"sessionId": args.session, "from": args.before, "to": args.after, "root": args.root, "path": args.path}
    if args.path is not None:
        _print_patch(api.send("GET", f"/api/files/diff?{_encoded(named)}"), as_json=args.json)
    elif args.json:
        print(json.dumps(list(_all_pages(api, "diff", named, items="files"))))
    else:
        for file in _all_pages(api, "diff", named, items="files"):
            counts = f"+{file['added']} -{file['removed']}" if "added" in file else "not counted"
            print(f"{CHANGES[file['change']]}  {counts:>14}  {_in_one_line(file['path'])}")
    return 0


def _all_pages(api: Api, verb: str, query: Json, *, items: str) -> Iterator[Json]:
    """Yield what the pages of a list hold under the name `items`; say once when the list is inexact."""
    cursor = None
    while True:
        page = api.send("GET", f"/api/files/{verb}?{_encoded({**query, 'cursor': cursor})}")
        if cursor is None:
            _say_when_inexact(page)
        yield from page[items]
        cursor = page.get("nextCursor")
        if cursor is None:
            return


def _print_patch(file: Json, *, as_json: bool) -> None:
    _say_when_inexact(file)
    patch = file.get("patch") or "The file is binary or too long to compare line by line.\n"
    print(json.dumps(file) if as_json else visible(patch), end="\n" if as_json else "")


def search(api: Api, args: argparse.Namespace) -> int:
    """Print the paths that were found; of a search in texts also the lines, as `path:line: text`."""
    named = {**_query(args), "in": "text" if args.text else "names", "q": args.words}
    found = api.send("GET", f"/api/files/search?{_encoded(named)}")
    _say_when_inexact(found)
    if args.json:
        print(json.dumps(found))
        return 0
    for item in found["items"]:
        path = _in_one_line(item["path"])
        matches = item.get("matches") or []
        for match in matches:
            print(f"{path}:{match['line']}: {_in_one_line(match['text'])}")
        if not matches:
            print(path)
    if found["partial"]:
        print("There may be more.", file=sys.stderr)
    return 0


def _say_when_inexact(answered: Json) -> None:
    if answered.get("exactNote"):
        print(answered["exactNote"], file=sys.stderr)


def _say_when_download_is_inexact(headers: Mapping[str, str]) -> None:
    if headers.get(EXACT_HEADER) == "false":
        print(NO_END_SAVED, file=sys.stderr)


def get_file(api: Api, args: argparse.Namespace) -> int:
    """Write a file's bytes."""
    url = f"/api/files/download?{_encoded(_query(args))}"
    pieces = api.download(url, on_headers=_say_when_download_is_inexact)
    return _write(pieces, args.output, _own_name(args.path) or "file")


def get_zip(api: Api, args: argparse.Namespace) -> int:
    """Write a folder's archive."""
    pieces = api.download(f"/api/files/zip?{_encoded(_query(args))}", on_headers=_say_when_download_is_inexact)
    return _write(pieces, args.output, f"{_own_name(args.path) or args.root}.zip")


def _write(pieces: Iterator[bytes], output: str | None, name: str) -> int:
    """Write the bytes to the file. An existing file is refused, and a file that came only in part is removed."""
    if output == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return 0
    first = next(pieces, b"")
    target = Path(output or name)
    with target.open("xb") as file:
        try:
            file.write(first)
            for piece in pieces:
                file.write(piece)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    print(f"{target}: {target.stat().st_size} bytes", file=sys.stderr)
    return 0


def _query(args: argparse.Namespace) -> Json:
    named = {"sessionId": args.session, "runId": args.at_run, "root": args.root, "path": getattr(args, "path", None)}
    return {**named, "at": "saved" if args.saved and args.at_run is None else None}


def _encoded(query: Json) -> str:
    return urlencode({name: value for name, value in query.items() if value is not None})


def _own_name(path: str) -> str:
    """Return the path's last name; empty for one that is no name on this disk."""
    name = path.rstrip("/").rpartition("/")[2]
    return "" if path.startswith("base64:") or name in (".", "..") else name


def _cells(item: Json) -> list[str]:
    target = f" -> {item['target']}" if "target" in item else ""
    changed = moment_words(moment_of(item["mtime"])) if item.get("mtime") else ""
    return [item["kind"], str(item.get("size", "")), changed, item["path"] + target]


def _in_one_line(text: str) -> str:
    return visible(text).replace("\n", "?")
