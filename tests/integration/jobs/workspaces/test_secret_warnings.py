"""The session is warned of files with secret values, as the executor's receipt names them."""

from __future__ import annotations

from jobs.context import TaskContext
from schema.wire import Json
from tests.integration.jobs.workspaces.conftest import Session
from tests.integration.jobs.workspaces.saver import Saver, contents
from tests.integration.jobs.workspaces.test_saving import save_all

IN_HOME = {"root": "agent", "path": ".codex/shell_snapshots/1.sh", "reason": "secret_left_out"}
IN_WORKSPACE = {"root": "workspace", "path": ".env", "reason": "holds_secret"}


def skipping(saver: Saver, *paths: Json) -> None:
    saver.tamper = lambda receipt: {**receipt, "skipped": list(paths), "skippedTotal": len(paths)}


def warnings(session: Session) -> list[tuple[str, str]]:
    rows = session.conn.execute(
        "SELECT data ->> 'code', data ->> 'message' FROM run_events WHERE session_id = %s AND type = 'run.warning'"
        " ORDER BY seq",
        [session.id],
    ).fetchall()
    return [(str(code), str(message)) for code, message in rows]


def test_files_with_secrets_are_named_in_the_session(context: TaskContext, session: Session, saver: Saver) -> None:
    saver.files = contents("abc")
    skipping(saver, IN_HOME, IN_WORKSPACE, {"root": "workspace", "path": "a socket", "reason": "socket"})
    session.run()

    assert save_all(context, session) == ["saved"]

    assert [code for code, _ in warnings(session)] == ["secret_in_workspace", "secret_in_home"]
    workspace, home = (message for _, message in warnings(session))
    assert workspace.endswith("Remove it, or change the secret: '.env'.")
    assert home.endswith("are not saved: '.codex/shell_snapshots/1.sh'.")


def test_a_file_of_the_home_is_named_once(context: TaskContext, session: Session, saver: Saver) -> None:
    saver.files = contents("abc")
    skipping(saver, IN_HOME)
    for _ in range(2):
        session.run()
        assert save_all(context, session) == ["saved"]
    saver.files = contents("xyz")
    session.run()
    assert save_all(context, session) == ["saved"]

    assert [code for code, _ in warnings(session)] == ["secret_in_home"]


def test_a_first_secret_after_an_unchanged_save_is_named_once(
    context: TaskContext, session: Session, saver: Saver
) -> None:
    saver.files = contents("abc")
    session.run()
    assert save_all(context, session) == ["saved"]
    skipping(saver, IN_HOME)
    for _ in range(2):
        session.run()
        assert save_all(context, session) == ["saved"]

    assert [code for code, _ in warnings(session)] == ["secret_in_home"]


def test_many_files_are_counted(context: TaskContext, session: Session, saver: Saver) -> None:
    saver.files = contents("abc")
    skipping(saver, *({**IN_WORKSPACE, "path": f"f{number}"} for number in range(12)))
    session.run()

    save_all(context, session)

    [(_, message)] = warnings(session)
    assert message.endswith("'f8', 'f9', 2 more.")


def test_more_than_a_hundred_files_are_named_once(context: TaskContext, session: Session, saver: Saver) -> None:
    many = [{**IN_HOME, "path": f".codex/sessions/{number}.jsonl"} for number in range(150)]
    skipping(saver, *many)
    for content in ("abc", "xyz", "xyz"):
        saver.files = contents(content)
        session.run()
        assert save_all(context, session) == ["saved"]

    [(code, message)] = warnings(session)
    assert (code, message.endswith(", 140 more.")) == ("secret_in_home", True)


def test_a_file_of_the_workspace_is_named_once_although_a_save_between_did_not_read_it(
    context: TaskContext, session: Session, saver: Saver
) -> None:
    saver.files = contents("abc")
    for found in ([IN_WORKSPACE], [], [IN_WORKSPACE]):
        skipping(saver, *found)
        session.run()
        assert save_all(context, session) == ["saved"]

    assert [code for code, _ in warnings(session)] == ["secret_in_workspace"]
