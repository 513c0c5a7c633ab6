"""The engine: one order from standard input is carried out, and the process ends (executor/snapshotter/protocol.py).

It runs as the agent's user where that is another than ours, so it can do to the workspace what an agent could, and no
more. It opens nothing of the state folder: the index comes and goes by descriptors that it inherits. Nobody can look
into it (not dumpable), for it holds links to the store.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os
from typing import Any
from uuid import UUID

from executor.snapshotter.protocol import EngineFailed, ExecutorChannel
from schema.errors import RunyardError

_PR_SET_DUMPABLE = 4
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    gc.disable()  # nothing here makes cycles, and looking for them among a million objects takes longer than the scan
    talk = ExecutorChannel()
    order = talk.order()
    try:
        done = _save(order, talk) if order["kind"] == "sync" else _restore(order, talk)
    except RunyardError as error:
        talk.say("failed", {"code": error.problem_code, "error": error.detail})
    except OSError as error:
        talk.say("failed", _failure(error))
    except BaseException:  # noqa: BLE001 - the outermost frame: whatever happened, the executor is told
        import traceback

        traceback.print_exc()
        talk.say(
            "failed", {"code": EngineFailed.code, "error": "The engine broke; the executor's log has the details."}
        )
    else:
        talk.say("done", done)
    os._exit(0)  # threads that still wait for the store are not waited for


def _save(order: dict[str, Any], talk: ExecutorChannel) -> dict[str, Any]:
    from executor.snapshotter.index import read_index
    from executor.snapshotter.save import save
    from executor.snapshotter.snapshot import SaveOrder

    index = None
    if order["indexIn"] is not None:
        with open(order["indexIn"], "rb") as file:
            index = read_index(file.read())
    given = SaveOrder(
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
    )
    outcome = save(given, index=index, talk=talk)
    return {"receipt": outcome.receipt, "hasIndex": _write_index(order, outcome.index)}


def _restore(order: dict[str, Any], talk: ExecutorChannel) -> dict[str, Any]:
    from executor.snapshotter.restore import RestoreOrder, restore

    given = RestoreOrder(
        session_id=UUID(order["sessionId"]),
        snapshot_id=_id(order["snapshotId"]),
        manifest_digest=order["manifestDigest"],
        plan=order["plan"],
        workspace=os.fsencode(order["workspace"]),
        home=os.fsencode(order["home"]),
        keep=order["keep"],
        drop=order["drop"],
    )
    restored = restore(given, talk=talk)
    return {"receipt": restored.receipt, "hasIndex": _write_index(order, restored.index)}


def _id(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


def _write_index(order: dict[str, Any], data: bytes | None) -> bool:
    """Whether there is a new one. On a full disk there is none, and the next save reads everything."""
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
        return {"code": "disk_full", "error": "The disk is full."}
    where = f" at {error.filename!r}" if error.filename else ""
    return {"code": "not_possible", "error": f"The system refused{where}: {error.strerror}."}


if __name__ == "__main__":
    main()
