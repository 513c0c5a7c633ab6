"""Trees with everything that a file system may hold: drawn by chance, grown in a folder, and looked at."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

from executor.snapshotter.ignore import STAGING

Seen = dict[bytes, tuple[object, ...]]

_BYTES = st.binary(min_size=1, max_size=40).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"\x01"))
NAMES = st.one_of(
    st.sampled_from([b"a", b"b", b"src", b".git", b"kept", b"x.py", b"base64:YQ==", b"-rf", b"..."]),
    st.sampled_from(
        [b" ", b"two words", b"line\nbreak", b"tab\t", b"\xff\xfe", "ümlaut 日本".encode(), b"n" * 255, b"\\"]
    ),
    _BYTES,
).filter(lambda name: name not in (b".", b"..", STAGING.encode()))
MODES = st.sampled_from([0o644, 0o755, 0o600, 0o400, 0o777, 0o640, 0o4755, 0o1777])
TIMES = st.sampled_from([0, 1, -1_000_000_001, 999_999_999, 1_700_000_000_123_456_789, 4_000_000_000 * 10**9])


@dataclass(frozen=True)
class Leaf:
    """A file of `size` bytes that `seed` determines, or a link, or something that is never saved."""

    kind: str
    size: int = 0
    seed: int = 0
    mode: int = 0o644
    mtime_ns: int = 0
    target: bytes = b"x"


@dataclass(frozen=True)
class Branch:
    """A folder."""

    mode: int
    mtime_ns: int
    inside: dict[bytes, Leaf | Branch] = field(default_factory=dict)


FILES = st.builds(
    Leaf,
    kind=st.just("file"),
    size=st.sampled_from([0, 1, 10, 4096, 70_000, (1 << 20) - 1, 1 << 20, (1 << 20) + 5]),
    seed=st.integers(0, 3),
    mode=MODES,
    mtime_ns=TIMES,
)
OTHERS = st.builds(
    Leaf,
    kind=st.sampled_from(["symlink", "symlink", "sparse", "hardlink", "fifo", "socket"]),
    size=st.sampled_from([0, 1 << 20, 3 << 20]),
    seed=st.integers(0, 3),
    mtime_ns=TIMES,
    target=st.sampled_from([b"x", b"../..", b"/etc/passwd", b"\xff", b"a" * 300, b"base64:", b"line\nbreak"]),
)
TREES = st.recursive(
    st.dictionaries(NAMES, FILES | OTHERS, max_size=4),
    lambda inner: st.dictionaries(
        NAMES,
        FILES | OTHERS | st.builds(Branch, mode=st.sampled_from([0o755, 0o700, 0o500]), mtime_ns=TIMES, inside=inner),
        max_size=4,
    ),
    max_leaves=12,
)


def grow(folder: Path, tree: dict[bytes, Leaf | Branch]) -> None:
    """Make it there."""
    files: list[bytes] = []
    _grow(os.fsencode(folder), tree, files)


def _grow(folder: bytes, tree: dict[bytes, Leaf | Branch], files: list[bytes]) -> None:
    for name, node in tree.items():
        path = folder + b"/" + name
        if isinstance(node, Branch):
            os.mkdir(path)
            _grow(path, node.inside, files)
            os.chmod(path, node.mode)
            os.utime(path, ns=(node.mtime_ns, node.mtime_ns))
        else:
            _grow_leaf(path, node, files)


def _grow_leaf(path: bytes, leaf: Leaf, files: list[bytes]) -> None:
    if leaf.kind == "fifo":
        os.mkfifo(path)
        return
    if leaf.kind == "socket":
        _bind(path)
        return
    if leaf.kind == "symlink":
        os.symlink(leaf.target, path)
    elif leaf.kind == "hardlink" and files:
        os.link(files[leaf.seed % len(files)], path)
        return
    else:
        with open(path, "wb") as file:
            if leaf.kind == "sparse":
                file.truncate(leaf.size)
                file.seek(leaf.size // 2)
            file.write(content(leaf.seed, 5000 if leaf.kind == "sparse" else leaf.size))
        os.chmod(path, leaf.mode)
        files.append(path)
    os.utime(path, ns=(leaf.mtime_ns, leaf.mtime_ns), follow_symlinks=False)


def _bind(path: bytes) -> None:
    folder, _, name = path.rpartition(b"/")
    if len(name) > 100:
        return
    descriptor = os.open(folder, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(b"/proc/self/fd/%d/%s" % (descriptor, name) if len(name) < 70 else b"\0" + os.urandom(8))
    os.close(descriptor)


def content(seed: int, size: int) -> bytes:
    """The same bytes each time; those of seed 0 compress well."""
    if seed == 0:
        return (b"runyard" * (size // 7 + 1))[:size]
    return hashlib.shake_128(b"%d" % seed).digest(size)


def look(folder: Path) -> Seen:
    """All that a restore must bring back, by path: kind, mode, time, content, and which names are one file."""
    seen: Seen = {}
    same: dict[int, list[bytes]] = {}
    root = os.fsencode(folder)
    for at, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = at + b"/" + name
            found = os.lstat(path)
            own = _own(path, found)
            if own is not None:
                seen[path[len(root) + 1 :]] = own
                same.setdefault(found.st_ino, []).append(path[len(root) + 1 :])
    return {path: (*own, *sorted(same[os.lstat(root + b"/" + path).st_ino])) for path, own in seen.items()}


def _own(path: bytes, found: os.stat_result) -> tuple[object, ...] | None:
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return "link", found.st_mtime_ns, os.readlink(path)
    if stat.S_ISDIR(found.st_mode):
        return "folder", mode, found.st_mtime_ns
    if not stat.S_ISREG(found.st_mode):
        return None
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    return "file", mode, found.st_mtime_ns, found.st_size, digest
