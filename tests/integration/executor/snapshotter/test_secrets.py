"""A save looks for known secret values in what it reads."""

from __future__ import annotations

import base64
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from executor.snapshotter.stable_read import PART_BYTES
from schema.wire import Json
from tests.integration.executor.snapshotter.session_disk import SessionDisk

KEY = "sk-live-0123456789/abcdef+xyz"
LATER = "another-key-of-later"


@pytest.fixture
def guarded(disk: SessionDisk) -> SessionDisk:
    """A session whose executor knows a key."""
    disk.secrets = (KEY,)
    (disk.home / "kept").mkdir()
    return disk


def named(receipt: Json) -> list[tuple[str, str, str]]:
    return [(path["root"], path["path"], path["reason"]) for path in receipt["skipped"]]


def saved_paths(disk: SessionDisk) -> list[str]:
    return [entry.path for entry in (*disk.manifest().roots.workspace, *disk.manifest().roots.agent)]


def stored_bytes(disk: SessionDisk) -> bytes:
    """Everything that the store holds, unpacked."""
    unpacker = zstandard.ZstdDecompressor()
    return b"".join(
        unpacker.decompressobj().decompress(data) if data.startswith(zstandard.FRAME_HEADER) else data
        for data in disk.objects.stored.values()
    )


def test_a_file_of_the_home_with_a_secret_is_left_out_and_named(guarded: SessionDisk) -> None:
    shell = guarded.home / "kept" / "shell_snapshots"
    shell.mkdir()
    (shell / "1.sh").write_text(f"export CODEX_API_KEY={KEY}\n")
    (shell / "2.sh").write_bytes(base64.b64encode(f"user:{KEY}".encode()))
    (shell / "3.sh").write_text("export LANG=C\n")
    (guarded.home / "kept" / "mine.toml").write_text("what a user configured")

    receipt = guarded.save().receipt

    assert named(receipt) == [
        ("agent", "kept/shell_snapshots/1.sh", "secret_left_out"),
        ("agent", "kept/shell_snapshots/2.sh", "secret_left_out"),
    ]
    assert {"kept/shell_snapshots/3.sh", "kept/mine.toml"} <= set(saved_paths(guarded))
    assert "kept/shell_snapshots/1.sh" not in saved_paths(guarded)
    assert KEY.encode() not in stored_bytes(guarded)
    assert named(guarded.save().receipt) == named(receipt)


def test_a_file_of_the_workspace_with_a_secret_is_saved_and_named_when_it_is_read(guarded: SessionDisk) -> None:
    (guarded.workspace / ".env").write_text(f"KEY={KEY}")
    (guarded.workspace / "main.py").write_text("print()")

    receipt = guarded.save().receipt

    assert named(receipt) == [("workspace", ".env", "holds_secret")]
    assert saved_paths(guarded) == [".env", "main.py", "kept"]


@pytest.mark.parametrize("at", [5, PART_BYTES - 10, PART_BYTES + 5, 2 * PART_BYTES + 100])
def test_a_secret_anywhere_in_a_large_file_of_the_home_never_reaches_the_store(guarded: SessionDisk, at: int) -> None:
    content = bytearray(os.urandom(2 * PART_BYTES + 1000))
    content[at : at + len(KEY)] = KEY.encode()
    (guarded.home / "kept" / "history.db").write_bytes(content)

    receipt = guarded.save().receipt

    assert named(receipt) == [("agent", "kept/history.db", "secret_left_out")]
    stored = stored_bytes(guarded)
    assert KEY[:12].encode() not in stored
    assert KEY[-12:].encode() not in stored


def test_nothing_of_a_large_file_of_the_home_is_sent_before_it_is_searched(guarded: SessionDisk) -> None:
    content = os.urandom(2 * PART_BYTES) + KEY.encode()
    (guarded.home / "kept" / "history").write_bytes(content)

    receipt = guarded.save().receipt

    assert named(receipt) == [("agent", "kept/history", "secret_left_out")]
    assert receipt["uploadedBytes"] < PART_BYTES
    assert content[:64] not in stored_bytes(guarded)


def new_database(path: Path) -> sqlite3.Connection:
    """A database in write-ahead mode, with one saved row."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = wal")
    database.execute("PRAGMA wal_autocheckpoint = 0")
    database.execute("CREATE TABLE turns (words text)")
    database.execute("INSERT INTO turns VALUES ('a first turn')")
    return database


@pytest.mark.parametrize("size", [10, 1 << 20])
def test_a_database_is_left_out_with_the_log_that_holds_a_secret(guarded: SessionDisk, size: int) -> None:
    with closing(new_database(guarded.home / "kept" / "chat.db")) as database:
        database.execute("INSERT INTO turns VALUES (hex(randomblob(?)))", [size])
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        guarded.save()
        assert "kept/chat.db" in saved_paths(guarded)

        database.execute("INSERT INTO turns VALUES (?)", [KEY])
        receipt = guarded.save().receipt

    names = ["chat.db", "chat.db-shm", "chat.db-wal"]
    assert sorted(named(receipt)) == [("agent", f"kept/{name}", "secret_left_out") for name in names]
    assert saved_paths(guarded) == ["kept"]


def test_a_log_is_left_out_with_the_database_that_holds_a_secret(guarded: SessionDisk) -> None:
    with closing(new_database(guarded.home / "kept" / "chat.db")) as database:
        database.execute("INSERT INTO turns VALUES (?)", [KEY])
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("INSERT INTO turns VALUES ('a harmless turn')")
        guarded.save()

    assert saved_paths(guarded) == ["kept"]


def test_a_database_is_saved_again_when_its_secret_is_gone(guarded: SessionDisk) -> None:
    (guarded.home / "kept" / "chat.db").write_text("pages")
    (guarded.home / "kept" / "chat.db-wal").write_text(KEY)
    guarded.save()
    assert saved_paths(guarded) == ["kept"]

    (guarded.home / "kept" / "chat.db-wal").write_text("harmless")
    receipt = guarded.save().receipt

    assert named(receipt) == []
    assert saved_paths(guarded) == ["kept", "kept/chat.db", "kept/chat.db-wal"]


def test_another_name_of_a_database_that_is_left_out_is_saved_as_a_file(guarded: SessionDisk) -> None:
    kept = guarded.home / "kept"
    (kept / "a.db").write_text("pages")
    os.link(kept / "a.db", kept / "b.db")
    (kept / "a.db-wal").write_text(KEY)

    guarded.save()
    there = guarded.another("there")
    there.restore(guarded.head)

    assert saved_paths(guarded) == ["kept", "kept/b.db"]
    assert (there.home / "kept" / "b.db").read_text() == "pages"


def test_a_large_file_of_the_workspace_is_saved_complete(guarded: SessionDisk) -> None:
    content = os.urandom(PART_BYTES) + KEY.encode() + os.urandom(PART_BYTES)
    (guarded.workspace / "dump").write_bytes(content)

    receipt = guarded.save().receipt
    there = guarded.another("there")
    there.restore(guarded.head)

    assert named(receipt) == [("workspace", "dump", "holds_secret")]
    assert (there.workspace / "dump").read_bytes() == content


def test_a_file_that_gains_a_secret_leaves_the_next_snapshot(guarded: SessionDisk) -> None:
    history = guarded.home / "kept" / "history"
    history.write_text("hello")
    guarded.save()
    assert "kept/history" in saved_paths(guarded)

    history.write_text(f"hello, {KEY}")

    assert named(guarded.save().receipt) == [("agent", "kept/history", "secret_left_out")]
    assert "kept/history" not in saved_paths(guarded)


def test_a_second_name_of_a_file_with_a_secret_is_left_out_too(guarded: SessionDisk) -> None:
    (guarded.home / "kept" / "a").write_text(KEY)
    os.link(guarded.home / "kept" / "a", guarded.home / "kept" / "b")

    receipt = guarded.save().receipt

    assert sorted(named(receipt)) == [("agent", f"kept/{name}", "secret_left_out") for name in "ab"]
    assert saved_paths(guarded) == ["kept"]


def test_a_home_is_searched_again_when_a_secret_is_new(guarded: SessionDisk) -> None:
    old = guarded.home / "kept" / "old"
    old.write_text(f"later this is a secret: {LATER}")
    os.utime(old, (1, 1))
    guarded.save()
    assert "kept/old" in saved_paths(guarded)

    guarded.secrets = (KEY, LATER)
    guarded.save(at_rest=False)
    receipt = guarded.save().receipt

    assert named(receipt) == [("agent", "kept/old", "secret_left_out")]
    assert "kept/old" not in saved_paths(guarded)


def test_a_restored_home_is_searched_before_it_is_saved_again(guarded: SessionDisk) -> None:
    guarded.secrets = ()
    (guarded.home / "kept" / "old").write_text(KEY)
    guarded.save()
    there = guarded.another("there")
    there.restore(guarded.head)

    there.secrets = (KEY,)

    assert named(there.save().receipt) == [("agent", "kept/old", "secret_left_out")]


@pytest.mark.parametrize("name", [".auth.json.set-aside-2", "auth.json.set-aside-1"])
def test_a_login_that_was_set_aside_neither_leaves_nor_comes_back(disk: SessionDisk, name: str) -> None:
    login = disk.home / "kept" / name
    login.parent.mkdir()
    login.write_text('{"opencode": {"type": "api", "key": "of-a-person"}}')
    (disk.home / "kept" / "mine.json.set-aside-1").write_text("no login")
    disk.drop = ("kept/auth.json",)

    disk.save()

    assert saved_paths(disk) == ["kept", "kept/mine.json.set-aside-1"]
    disk.drop = ()
    disk.save()
    fresh = disk.another("fresh")
    fresh.drop = ("kept/auth.json",)
    receipt = fresh.restore(disk.head).receipt
    assert [path.name for path in (fresh.home / "kept").iterdir()] == ["mine.json.set-aside-1"]
    assert (f"kept/{name}", "not_kept") in {(each["path"], each["reason"]) for each in receipt["reasons"]}


def test_what_lies_in_a_folder_that_was_set_aside_is_not_saved(disk: SessionDisk) -> None:
    (disk.home / "kept" / ".keys.set-aside-1").mkdir(parents=True)
    (disk.home / "kept" / ".keys.set-aside-1" / "private").write_text("of a person")
    disk.drop = ("kept/keys/private",)

    disk.save()

    assert saved_paths(disk) == ["kept", "kept/.keys.set-aside-1"]
