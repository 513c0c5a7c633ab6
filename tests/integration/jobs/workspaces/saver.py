"""The saving side of an executor in small: its workspace is a dictionary; objects, manifest and links are real."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID, uuid4

import httpx
import zstandard

from schema.object_keys import manifest_key, pack_key
from schema.snapshot_manifest import VERSION, File, Manifest, Roots, Stored, manifest_digest, write_manifest
from schema.upload_headers import content_md5, upload_headers
from schema.wire import Json
from schema.workspace_api import SyncQuery, SyncWorkspace
from tests.integration.jobs.stand_in import Reply, Seen

Files = dict[str, bytes]


@dataclass
class Operation:
    """A save under way: `missing` is still to be put, the manifest after all else."""

    id: UUID
    asked: SyncWorkspace
    missing: dict[str, bytes]
    manifest: bytes
    receipt: Json
    error: str | None = None

    @property
    def wants(self) -> list[str]:
        return list(self.missing) or ([] if self.is_over else [self.manifest_key])

    @property
    def manifest_key(self) -> str:
        return manifest_key(self.asked.session_id, self.asked.snapshot_id)

    is_over: bool = False


@dataclass
class Saver:
    """`files` may be changed at any time; `before_put` is called with each key that is about to be uploaded.

    `ends` are what runs left before others began, the oldest first; each goes once a save is on top of its snapshot."""

    files: Files = field(default_factory=dict)
    ends: list[tuple[UUID, Files]] = field(default_factory=list)
    sent: dict[UUID, UUID] = field(default_factory=dict)
    """The run whose end a snapshot holds, by the snapshot's id."""
    before_put: Callable[[str], object] = str
    forget: bool = False
    tells_md5: bool = True
    """An executor of an older release does not."""
    tamper_want: Callable[[Json], Json] = lambda want: want
    also: Files = field(default_factory=dict)
    """Further objects that a save uploads, by key."""
    puts: int = 1
    """How often it uploads an object by its link."""
    asked: list[SyncWorkspace] = field(default_factory=list)
    saved: dict[UUID, tuple[Files, str]] = field(default_factory=dict)
    operations: dict[UUID, Operation] = field(default_factory=dict)
    tamper: Callable[[Json], Json] = lambda receipt: receipt
    links: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, seen: Seen) -> Reply | None:
        parts = urlsplit(seen.path)
        path = parts.path.split("/")[1:]
        if path[:1] != ["workspace"]:
            return None
        match seen.method, path[1:]:
            case "POST", ["sync"]:
                query = SyncQuery.model_validate(dict(parse_qsl(parts.query)))
                return self._begin(SyncWorkspace.model_validate(seen.body), query)
            case "GET", ["operations", id_]:
                return self._state(UUID(id_))
            case "POST", ["operations", id_, "links"]:
                return self._put(UUID(id_), seen.body["links"])
        return None

    def restart(self) -> None:
        """All that was under way is forgotten, as by an executor that was started again."""
        with self.lock:
            self.operations.clear()

    def keep_end(self, run_id: UUID) -> None:
        """As an executor does when another run begins before a save."""
        self.ends.append((run_id, dict(self.files)))

    def _begin(self, asked: SyncWorkspace, query: SyncQuery) -> Reply:
        with self.lock:
            committed = {query.saved_end, self.sent.get(asked.head) if asked.head else None} - {None}
            if self.ends and self.ends[0][0] in committed:
                del self.ends[0]
            if query.head_lost:
                self.ends.clear()  # they build on what was lost
            run_id, files = self.ends[0] if query.takes_ends and self.ends else (None, dict(self.files))
            self.asked.append(asked)
            operation = make_operation(asked, files, self.saved)
            operation.missing |= self.also
            if run_id is not None:
                operation.receipt["runId"] = str(run_id)
                self.sent[asked.snapshot_id] = run_id
            operation.receipt = self.tamper(operation.receipt)
            self.operations[operation.id] = operation
            self.saved[asked.snapshot_id] = (files, operation.receipt["manifestDigest"])
        return Reply(202, {"operationId": str(operation.id)})

    def _state(self, id_: UUID) -> Reply:
        with self.lock:
            operation = self.operations.get(id_)
            if operation is None:
                return Reply(404, {"code": "unknown_operation"})
            state = "failed" if operation.error else "succeeded" if operation.is_over else "running"
            told: Json = {"operationId": str(id_), "kind": "sync", "state": state, "progress": {"step": "uploading"}}
            if operation.error:
                return Reply(200, {**told, "code": "SnapshotterFailed", "error": operation.error})
            if operation.is_over:
                return Reply(200, {**told, "sync": operation.receipt})
            return Reply(200, {**told, "wants": [self._want(operation, key) for key in operation.wants]})

    def _want(self, operation: Operation, key: str) -> Json:
        content = operation.missing.get(key, operation.manifest)
        md5 = {"md5": content_md5(content)} if self.tells_md5 else {}
        return self.tamper_want({"method": "PUT", "key": key, "size": len(content), **md5})

    def _put(self, id_: UUID, links: dict[str, str]) -> Reply:
        operation = self.operations[id_]
        for name, address in links.items():
            key = name.removeprefix("PUT ")
            self.links.append(address)
            self.before_put(key)
            content = operation.missing.get(key, operation.manifest)
            headers = upload_headers(address, size=len(content), md5=content_md5(content))
            upload = partial(httpx.put, address, content=content, headers=headers, timeout=10, trust_env=False)
            *_, answer = [upload() for _ in range(self.puts)]
            if not answer.is_success and answer.status_code != 412:
                operation.error = f"The object store answered {answer.status_code}."
                break
            if operation.missing.pop(key, None) is None:
                operation.is_over = True
        return Reply(202)


def make_operation(asked: SyncWorkspace, files: Files, saved: dict[UUID, tuple[Files, str]]) -> Operation:
    """Each file in a pack of its own."""
    before, digest = saved.get(asked.head, ({}, "")) if asked.head else ({}, "")
    if asked.head and files == before and digest:
        receipt = receipt_of(asked, files, changed=0, objects={}, digest=digest) | {"unchanged": True}
        return Operation(uuid4(), asked, {}, b"", receipt, is_over=True)
    packs = {name: zstandard.ZstdCompressor().compress(content) for name, content in files.items()}
    manifest = make_manifest(asked, files, packs)
    data = write_manifest(manifest)
    keys = {pack_key(asked.session_id, sha256(packs[name])): packs[name] for name in files}
    known = {pack_key(asked.session_id, sha256(zstandard.ZstdCompressor().compress(one))) for one in before.values()}
    objects = {**{key: len(pack) for key, pack in keys.items()}}
    objects[manifest_key(asked.session_id, asked.snapshot_id)] = len(data)
    changed = len([name for name in files.keys() | before.keys() if files.get(name) != before.get(name)])
    receipt = receipt_of(asked, files, changed=changed, objects=objects, digest=manifest_digest(data))
    return Operation(uuid4(), asked, {key: pack for key, pack in keys.items() if key not in known}, data, receipt)


def make_manifest(asked: SyncWorkspace, files: Files, packs: Files) -> Manifest:
    stored = {
        sha256(packs[name]): Stored(sha256(packs[name]), len(packs[name]), len(content), True, True)
        for name, content in files.items()
    }
    numbers = {digest: i for i, digest in enumerate(stored)}
    entries = [
        File(name, 0o644, 0, len(content), sha256(content), numbers[sha256(packs[name])], 0)
        for name, content in sorted(files.items())
    ]
    return Manifest(
        version=VERSION,
        session_id=asked.session_id,
        snapshot_id=asked.snapshot_id,
        parent=asked.head,
        at_rest=asked.at_rest,
        created_at=datetime.now(UTC),
        files=len(files),
        bytes=sum(map(len, files.values())),
        objects=list(stored.values()),
        roots=Roots(list(entries), []),
    )


def receipt_of(asked: SyncWorkspace, files: Files, *, changed: int, objects: dict[str, int], digest: str) -> Json:
    return {
        "snapshotId": str(asked.snapshot_id),
        "files": len(files),
        "bytes": sum(map(len, files.values())),
        "changed": changed,
        "objects": list(objects),
        "objectSizes": objects,
        "uploaded": [],
        "uploadedBytes": sum(objects.values()),
        "manifestDigest": digest,
        "seconds": 0.1,
    }


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def contents(files: Iterable[str]) -> Files:
    """Files whose contents are their names."""
    return {name: name.encode() * 3 for name in files}
