"""What a runtime manifest may say, and how it says no."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from schema.errors import Invalid, PathOutsideWorkspace
from schema.runtime_manifest import (
    DEFAULT_IGNORE,
    MAX_SEED_BYTES,
    MAX_SEEDS_BYTES,
    RuntimeManifest,
    ignore_patterns,
    read_runtime_manifest,
)
from schema.wire import Json
from schema.worker_limits import read_limits


def test_paths_are_taken_absolute_or_with_their_root() -> None:
    manifest = read_runtime_manifest(
        {"requiredPaths": ["/workspace//a/./b/", "/agent", {"root": "agent", "path": "c"}, {"path": "/agent/c"}]}
    )
    assert [path.absolute for path in manifest.required_paths] == ["/workspace/a/b", "/agent", "/agent/c", "/agent/c"]
    assert read_runtime_manifest(manifest.stored()) == manifest


def test_all_paths_outside_are_named_as_they_were_given() -> None:
    with pytest.raises(PathOutsideWorkspace) as refused:
        read_runtime_manifest(
            {"requiredPaths": ["/workspace/../etc", "/workspace/a", "/etc"], "mountPoints": ["a\x00b"]}
        )
    assert refused.value.paths == ["a?b", "/workspace/../etc", "/etc"]


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ({"seedFile": []}, "seedFile"),
        ({"seedFiles": [{"path": "/workspace", "content": ""}]}, "not the whole root"),
        ({"seedFiles": [{"path": "/workspace/a"}]}, "either content or contentBase64"),
        ({"seedFiles": [{"path": "/workspace/a", "content": "", "contentBase64": ""}]}, "either"),
        ({"seedFiles": [{"path": "/workspace/a", "contentBase64": "%"}]}, "not base64"),
        ({"seedFiles": [{"path": "/workspace/a", "content": "x" * (MAX_SEED_BYTES + 1)}]}, "at most"),
        ({"seedFiles": [{"path": "/workspace/a", "content": "", "mode": "4755"}]}, "mode"),
        ({"seedFiles": [{"path": "/workspace/a", "content": ""}, {"path": "/workspace/./a", "content": ""}]}, "twice"),
        (
            {"seedFiles": [{"path": f"/workspace/{part}", "content": ""} for part in ("a", "a/b")]},
            "below the seed /workspace/a",
        ),
        ({"mountPoints": ["/agent/cache"]}, "below /workspace"),
        ({"cleanupRules": ["/workspace/**/*"]}, "delete everything"),
        ({"cleanupRules": ["/workspace"]}, "not the whole root"),
        ({"ignore": ["/"]}, "gitignore"),
        ({"requiredPaths": ["/workspace/" + "a" * 256]}, "at most"),
        ({"requiredPaths": [{"root": "home", "path": "a"}]}, "workspace"),
        ({"requiredPaths": [{"root": "agent", "path": "a", "why": ""}]}, "why"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(manifest: Json, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_runtime_manifest(manifest)
    assert refused.value.problem_code == "bad_manifest"
    assert said in refused.value.detail


def test_seeds_are_text_or_bytes() -> None:
    given = [
        {"path": "/workspace/a", "content": "é"},
        {"path": "/agent/b", "contentBase64": base64.b64encode(b"\x00\xff").decode(), "mode": "700"},
    ]
    assert [seed.data for seed in read_runtime_manifest({"seedFiles": given}).seed_files] == ["é".encode(), b"\x00\xff"]


def test_mount_points_are_never_saved() -> None:
    assert ignore_patterns(read_runtime_manifest({})) == list(DEFAULT_IGNORE)
    manifest = read_runtime_manifest({"mountPoints": ["/workspace/ca*che"], "ignore": ["*.log"]})
    assert ignore_patterns(manifest) == ["*.log", "/ca\\*che/"]


@pytest.mark.parametrize(
    "limits", [{"cpus": 0}, {"memoryBytes": 1}, {"processes": "many"}, {"diskBytes": -1}, {"idleStop": 1}]
)
def test_limits_that_no_worker_lives_with_are_refused(limits: Json) -> None:
    with pytest.raises(Invalid, match=next(iter(limits))):
        read_limits(limits)


def seed(name: str, size: int) -> Json:
    return {"path": f"/workspace/{name}", "content": "x" * size}


def test_seeds_at_their_limits_and_one_byte_beyond() -> None:
    full = MAX_SEEDS_BYTES // MAX_SEED_BYTES
    whole = [seed(str(i), MAX_SEED_BYTES) for i in range(full)]
    assert len(read_runtime_manifest({"seedFiles": whole}).seed_files) == full
    for beyond in ([seed("a", MAX_SEED_BYTES + 1)], [*whole, seed("a", 1)]):
        with pytest.raises(Invalid, match="at most"):
            read_runtime_manifest({"seedFiles": beyond})


LISTS: dict[str, tuple[str, Callable[[int], object]]] = {
    "seed_files": ("seedFiles", lambda i: seed(str(i), 0)),
    "mount_points": ("mountPoints", lambda i: f"/workspace/{i}"),
    "cleanup_rules": ("cleanupRules", lambda i: f"/workspace/{i}"),
    "required_paths": ("requiredPaths", lambda i: f"/workspace/{i}"),
    "protected_paths": ("protectedPaths", lambda i: f"/workspace/{i}"),
    "ignore": ("ignore", str),
}


@pytest.mark.parametrize("field", LISTS)
def test_a_list_of_a_manifest_at_its_limit_and_one_beyond(field: str) -> None:
    key, entry = LISTS[field]
    most = next(kind.max_length for kind in RuntimeManifest.model_fields[field].metadata if hasattr(kind, "max_length"))
    assert len(getattr(read_runtime_manifest({key: [entry(i) for i in range(most)]}), field)) == most
    with pytest.raises(Invalid) as refused:
        read_runtime_manifest({key: [entry(i) for i in range(most + 1)]})
    assert refused.value.problem_code == "bad_manifest"
