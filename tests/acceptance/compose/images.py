"""`python -m tests.acceptance.compose.images`: the images of docker-compose.yml where no registry can be reached.

The control plane's are the Dockerfile's own stages, with wheels that this machine fetches and without the built portal.
PostgreSQL and the object store are the ones that `make up` runs, in containers that behave as the official images do.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Any

import docker
from docker.errors import ImageNotFound

from cli.local.postgres import embedded_binaries
from jobs.hosts.image import CONTENT, fetch_wheels, python_of

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
BASE = os.environ.get("BASE_IMAGE", "runyard-base")
REQUIREMENTS = ("requirements-control-plane.txt", "requirements-executor.txt")
CONTROL_PLANE, JOB_WORKER = "runyard-test", "runyard-test-job-worker"
POSTGRES, STORE = "runyard-test-postgres", "runyard-test-store"
TARGETS = {CONTROL_PLANE: "control-plane", JOB_WORKER: "job-worker", POSTGRES: "postgres", STORE: "store"}
FOLDERS = ("schema", "handlers", "functions", "portal/pages", "jobs", "cli", "executor")


def build_images(client: Any) -> None:
    """Build all four, unless they are there and made of the same."""
    python, cache = python_of(client, BASE), ROOT / ".runyard" / "image"
    wheels = [fetch_wheels(python, cache, requirements=name) for name in REQUIREMENTS]
    with tempfile.TemporaryFile() as context:
        _write_context(context, wheels)
        context.seek(0)
        content = hashlib.file_digest(context, "sha256").hexdigest()
        for tag, target in TARGETS.items():
            context.seek(0)
            if not _is_made_of(client, tag, content):
                _build(client, context, tag=tag, target=target, content=content)


def _is_made_of(client: Any, tag: str, content: str) -> bool:
    try:
        return bool(client.images.get(tag).labels.get(CONTENT) == content)
    except ImageNotFound:
        return False


def _build(client: Any, context: IO[bytes], *, tag: str, target: str, content: str) -> None:
    client.images.build(
        fileobj=context,
        custom_context=True,
        tag=tag,
        target=target,
        buildargs={"BASE_IMAGE": BASE},
        labels={CONTENT: content},
        rm=True,
        timeout=900,
    )


def dockerfile() -> str:
    """Return the stages of the control plane and the job worker, and those of the images that stand in."""
    found = re.search(r"^FROM \S+ AS control-plane\n.*(?=^FROM )", (ROOT / "Dockerfile").read_text(), re.M | re.S)
    assert found is not None
    first, _, rest = re.sub(r"^COPY --from=portal .*\n", "", found[0], flags=re.M).partition("\n")
    offline = "COPY wheels /wheels\nENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels\nCOPY portal/pages portal/pages\n"
    stand_ins = (HERE / "stand-ins.Dockerfile").read_text()
    return (
        f"ARG BASE_IMAGE\n{first}\n{offline}{rest}\nFROM job-worker AS stand-in\n{stand_ins}\n"
        'FROM stand-in AS postgres\nCMD ["sh", "/opt/postgres.sh"]\n'
        'FROM stand-in AS store\nCMD ["sh", "/opt/store.sh"]\n'
    )


def _write_context(out: IO[bytes], wheels: list[Path]) -> None:
    """Without times and owners, so that the same files are the same to the container engine's cache."""
    with tarfile.open(fileobj=out, mode="w") as tar:
        _put(tar, "Dockerfile", dockerfile().encode())
        for name in (*REQUIREMENTS, "providers.toml"):
            _put(tar, name, (ROOT / name).read_bytes())
        for name in ("postgres.sh", "store.sh"):
            _put(tar, name, (HERE / name).read_bytes())
        for name in FOLDERS:
            _put_folder(tar, ROOT / name, name)
        for folder in wheels:
            _put_folder(tar, folder, "wheels")
        package = embedded_binaries().parents[1]
        _put_folder(tar, embedded_binaries().parent, f"postgres/{package.name}/{embedded_binaries().parent.name}")
        _put_folder(tar, package.with_name(f"{package.name}.libs"), f"postgres/{package.name}.libs")


def _put_folder(tar: tarfile.TarFile, folder: Path, name: str) -> None:
    for file in sorted(folder.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            mode = 0o755 if file.stat().st_mode & 0o100 else 0o644
            _put(tar, f"{name}/{file.relative_to(folder)}", file.read_bytes(), mode=mode)


def _put(tar: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    tar.addfile(info, io.BytesIO(content))


if __name__ == "__main__":
    build_images(docker.from_env(timeout=900))
