"""Tool calls as the agents write them, and as nobody should: what they would do is read from both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.human_loop.tool_call import read_call
from schema.wire import Json
from tests.thoroughness import by_chance, chances

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["path", "command", "cmd", "file_path", "x", "/etc", ""]), inner, max_size=4)
    ),
    max_leaves=20,
)
PARTS = st.sampled_from(["kind", "input", "locations", "diffs", "cwd", "workspace", "title"])


@pytest.mark.parametrize(
    ("call", "command"),
    [
        ({"kind": "execute", "input": {"command": "git status", "description": "Look"}}, "git status"),
        ({"kind": "execute", "input": {"command": ["bash", "-lc", "git status"], "cwd": "/workspace"}}, "git status"),
        ({"kind": "execute", "input": {"command": ["git", "commit", "-m", "a; b"]}}, "git commit -m 'a; b'"),
        ({"input": {"cmd": "ls"}}, "ls"),
        ({"kind": "edit", "input": {"command": "create", "path": "a.py"}}, None),
        ({"kind": "execute", "input": {"command": "ls", "cmd": "rm"}}, None),
        ({"kind": "execute", "title": "ls"}, None),
    ],
)
def test_a_command_is_read_as_the_shell_gets_it(call: Json, command: str | None) -> None:
    assert read_call(call).command == command


@pytest.mark.parametrize(
    ("call", "paths"),
    [
        ({"input": {"file_path": "/workspace/src/a.py", "content": "/etc"}}, {"src/a.py"}),
        ({"input": {"filepath": "/workspace/a", "diff": "--- /etc/passwd"}}, {"a"}),
        ({"input": {"files": [{"filePath": "/workspace/a", "movePath": "/workspace/b"}]}}, {"a", "b"}),
        ({"input": {"changes": {"/workspace/a.py": {"type": "add"}}}}, {"a.py"}),
        ({"locations": [{"path": "/workspace/a", "line": 3}], "diffs": [{"path": "b", "newText": "x"}]}, {"a", "b"}),
        ({"input": {"path": "src/../../etc/passwd"}}, {"/etc/passwd"}),
        ({"input": {"path": "/workspace/../etc/passwd"}}, {"/etc/passwd"}),
        ({"input": {"path": "//etc//passwd"}}, {"/etc/passwd"}),
        ({"input": {"path": "~/.ssh/id"}}, {"~/.ssh/id"}),
        ({"input": {"uri": "file:///workspace/a%20b"}}, {"a b"}),
        ({"input": {"uri": "file://elsewhere/etc/passwd"}}, {"/etc/passwd"}),
        ({"input": {"name": "../etc/passwd", "title": "a word"}}, {"/etc/passwd"}),
        ({"input": {"anything": ["/etc/passwd"]}}, {"/etc/passwd"}),
        ({"input": {"path": "/workspace"}}, {"."}),
        ({"input": {"path": "/workspaces/a"}}, {"/workspaces/a"}),
        ({"input": {"path": "a"}, "cwd": "/srv/w/sub", "workspace": "/srv/w"}, {"sub/a"}),
        ({"input": {"path": "/workspace/a"}, "workspace": "/srv/w"}, {"/workspace/a"}),
    ],
)
def test_paths_are_those_of_the_workspace(call: Json, paths: set[str]) -> None:
    assert read_call(call).paths == paths


@pytest.mark.parametrize(
    "call",
    [
        {"kind": "execute", "title": "a command that is not told"},
        {"kind": "execute", "input": {"command": "true " * 20_000}},
        {"kind": "edit", "input": '{"path": "a", "content": "xx [... 99 bytes left out ...]'},
        {"kind": "edit", "input": {"new": "text"}},
        {"kind": "edit", "input": {"path": "a" * 5000}},
        {"kind": "edit", "locations": [{"path": f"a{i}"} for i in range(1000)]},
    ],
)
def test_a_call_that_is_not_told_as_a_whole_says_so(call: Json) -> None:
    assert not read_call(call).is_whole


@pytest.mark.parametrize("more", [{"additionalPermissions": {"network": True}}, {"directories": []}, {"url": "x"}])
def test_a_call_that_asks_for_more_than_its_command_says_so(more: Json) -> None:
    assert read_call({"kind": "execute", "input": {"command": "ls", "cwd": "/workspace"}}).is_only_command
    assert not read_call({"kind": "execute", "input": {"command": "ls", **more}}).is_only_command


@by_chance
@chances(300, 20_000)
@given(st.dictionaries(PARTS, ANYTHING, max_size=7))
def test_nothing_that_an_agent_writes_is_an_error(call: Json) -> None:
    read = read_call(call)
    assert all(path.startswith(("/", "~")) or ".." not in path.split("/") for path in read.paths)
