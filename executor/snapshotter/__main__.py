"""Run the snapshotter: carry out one order from standard input, then end (executor/snapshotter/protocol.py).

It runs as the agent's account where the executor uses another one, so it can do no more than the agent could. It opens
nothing in the state folder: it inherits the index as descriptors. It is not dumpable, so that no process can read the
pre-signed links in its memory.
"""

from __future__ import annotations

import errno
import gc
import os
from typing import TYPE_CHECKING, Any
from uuid import UUID

from executor.snapshotter.protocol import ExecutorChannel, SnapshotterFailed
from schema.errors import RunyardError
from schema.prctl import forbid_reading

if TYPE_CHECKING:
    from executor.snapshotter.index import Index
    from executor.snapshotter.snapshot import SaveOrder

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> None:
    """Carry out one order and report its result to the executor."""
    forbid_reading()
    gc.disable()  # a save makes no reference cycles, and searching a million objects for them outlasts the scan
    channel = ExecutorChannel()
    order = channel.order()
    try:
        result = _ACTIONS[order["kind"]](order, channel)
    except RunyardError as error:
        channel.send("failed", {"code": error.problem_code, "error": error.detail})
    except OSError as error:
        channel.send("failed", _failure(error))
    except BaseException:  # noqa: BLE001 - the outermost frame: the executor hears of every failure
        import traceback

        traceback.print_exc()
        channel.send(
            "failed",
            {
                "code": SnapshotterFailed.code,
                "error": "The snapshotter failed unexpectedly; the executor's log has the details.",
            },
        )
    else:
        channel.send("done", result)
    os._exit(0)  # do not wait for threads that still wait for the store


def _save(order: dict[str, Any], channel: ExecutorChannel) -> dict[str, Any]:
    from executor.snapshotter.save import save

    outcome = save(_save_order(order), index=_index(order), channel=channel)
    return {"receipt": outcome.receipt, "hasIndex": _write_index(order, outcome.index)}


def _keep_end(order: dict[str, Any], channel: ExecutorChannel) -> dict[str, Any]:
    """Save to the inherited file, on top of the last scan's snapshot, wherever that is by now."""
    from executor.snapshotter.kept_end import KeptEndWriter
    from executor.snapshotter.save import save

    index = _index(order)
    head = str(index.manifest.snapshot_id) if index else None
    writer = KeptEndWriter(order["file"], most_bytes=order["mostBytes"])
    outcome = save(
        _save_order({**order, "head": head, "headDigest": None, "atRest": True}),
        index=index,
        channel=channel,
        keep=writer,
    )
    return {"receipt": outcome.receipt, "hasIndex": _write_index(order, outcome.index)}


def _send_end(order: dict[str, Any], channel: ExecutorChannel) -> dict[str, Any]:
    from executor.snapshotter.index import write_again
    from executor.snapshotter.kept_end import SendOrder, send_kept_end

    send_order = SendOrder(
        session_id=UUID(order["sessionId"]),
        snapshot_id=UUID(order["snapshotId"]),
        head=_id(order["head"]),
        head_lost=order["headLost"],
        file=order["file"],
    )
    receipt, index = send_kept_end(send_order, index=_index(order), channel=channel)
    return {"receipt": receipt, "hasIndex": _write_index(order, None if index is None else write_again(index))}


def _index(order: dict[str, Any]) -> Index | None:
    """Return the last scan's index, or None when there is none that can be used."""
    from executor.snapshotter.index import read_index

    if order["indexIn"] is None:
        return None
    with open(order["indexIn"], "rb") as file:
        return read_index(file.read())


def _save_order(order: dict[str, Any]) -> SaveOrder:
    from executor.snapshotter.snapshot import SaveOrder

    return SaveOrder(
        session_id=UUID(order["sessionId"]),
        snapshot_id=UUID(order["snapshotId"]),
        head=_id(order["head"]),
        head_digest=order["headDigest"],
        at_rest=order["atRest"],
        ignore=order["ignore"],
        workspace=os.fsencode(order["workspace"]),
        home=os.fsencode(order["home"]),
        keep=order["keep"],
        drop=order["drop"],
        secrets=order["secrets"],
    )


def _restore(order: dict[str, Any], channel: ExecutorChannel) -> dict[str, Any]:
    from executor.snapshotter.empty_folders import remove_empty
    from executor.snapshotter.restore import RestoreOrder, restore

    restore_order = RestoreOrder(
        session_id=UUID(order["sessionId"]),
        snapshot_id=_id(order["snapshotId"]),
        manifest_digest=order["manifestDigest"],
        plan=order["plan"],
        workspace=os.fsencode(order["workspace"]),
        home=os.fsencode(order["home"]),
        keep=order["keep"],
        drop=order["drop"],
    )
    restored = restore(restore_order, channel=channel)
    if order["kind"] == "put_back":  # the last scan's index still holds: what was put back has other stamps
        remove_empty(restore_order.workspace, order["emptied"])
        return {"receipt": restored.receipt, "hasIndex": False}
    return {"receipt": restored.receipt, "hasIndex": _write_index(order, restored.index)}


_ACTIONS = {
    "sync": _save,
    "keep_end": _keep_end,
    "send_end": _send_end,
    "restore": _restore,
    "put_back": _restore,
}
"""The functions that carry out an order, by its `kind`."""


def _id(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


def _write_index(order: dict[str, Any], data: bytes | None) -> bool:
    """Write the new index and return whether there is one. A full disk leaves none, and the next save reads
    everything."""
    if data is None:
        return False
    try:
        with open(order["indexOut"], "wb") as file:
            file.write(data)
    except OSError:
        return False
    return True


def _failure(error: OSError) -> dict[str, str]:
    if error.errno in _FULL:
        return {"code": "disk_full", "error": "The worker's disk is full. Free space, then try again."}
    path = f" {error.filename!r}" if error.filename else " a file"
    return {"code": "not_possible", "error": f"The system refused access to{path}: {error.strerror}."}


if __name__ == "__main__":
    main()
