"""`python -m jobs.hosts.image`: build the executor's image. `make executor-image` runs it.

Everything that comes from a registry is fetched here, with this machine's own configuration, and given to the build: in
a container there is none. So the build itself needs no network, and the same lock files give the same content.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import docker
from docker.errors import APIError, BuildError, DockerException, ImageNotFound

CODE = Path(__file__).resolve().parents[2]
REQUIREMENTS = "requirements-executor.txt"
CONTENT = "runyard.content"
"""The image's label with the digest of what it was made of."""
# Of schema/, what the executor shares with the control plane; not what only the database's side knows, or tests.
NOT_THE_EXECUTORS = {
    *("migrations", "queries", "openapi.json", "migrate.py", "sql.py", "rows.py"),
    "failures_for_tests.py",
}
GLIBC_MINORS = range(17, 37)
ASK_PYTHON = "import platform, sys; print(sys.version_info[0], sys.version_info[1], platform.machine())"


class ImageFailed(Exception):
    """A sentence: the image was not built."""


@dataclass(frozen=True)
class Python:
    """The Python of a base image: wheels are chosen for it, not for the one that runs here."""

    version: str
    machine: str

    @property
    def platforms(self) -> list[str]:
        """As pip names them, newest first."""
        return [
            *(f"manylinux_2_{minor}_{self.machine}" for minor in reversed(GLIBC_MINORS)),
            f"manylinux2014_{self.machine}",
            f"linux_{self.machine}",
        ]


@dataclass(frozen=True, kw_only=True)
class ImagePlan:
    """`cache` keeps the wheels between builds; `agents_dir` is where `make agents` has installed the agents."""

    tag: str
    base: str
    agents_dir: Path
    cache: Path


def build_image(client: docker.DockerClient, plan: ImagePlan) -> str:
    """The image's id; an image that is made of the same already is left as it is. Raises ImageFailed."""
    content = content_digest(plan.base)
    if (image_id := _image_of(client, plan.tag, content)) is not None:
        return image_id
    python = python_of(client, plan.base)
    wheels = fetch_wheels(python, plan.cache)
    agents = agent_folders(plan.agents_dir)
    with tempfile.TemporaryFile() as context:
        write_context(context, wheels=wheels, agents=agents)
        context.seek(0)
        return _build(client, plan, context, content)


def content_digest(base: str) -> str:
    """Of all that makes the image what it is: our code, the locks of packages and agents, the name of its base."""
    digest = hashlib.sha256(base.encode())
    for name, file in _own_files():
        digest.update(f"\0{name}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _image_of(client: docker.DockerClient, tag: str, content: str) -> str | None:
    try:
        image = client.images.get(tag)
    except ImageNotFound:
        return None
    return str(image.id) if image.labels.get(CONTENT) == content else None


def python_of(client: docker.DockerClient, base: str) -> Python:
    try:
        said = client.containers.run(base, ["python3", "-c", ASK_PYTHON], remove=True, network_disabled=True)
    except ImageNotFound as error:
        raise ImageFailed(f"The base image {base} is not there and cannot be had: {error.explanation}") from None
    except DockerException as error:
        raise ImageFailed(f"The base image {base} has no Python 3 that runs: {error}") from None
    major, minor, machine = said.decode().split()
    return Python(f"{major}.{minor}", machine)


def fetch_wheels(python: Python, cache: Path, *, requirements: str = REQUIREMENTS) -> Path:
    """A folder with a wheel of each requirement, fetched by pip as it is set up here; kept for the next build."""
    key = hashlib.sha256((CODE / requirements).read_bytes() + f"{python}".encode()).hexdigest()[:16]
    folder = cache / f"wheels-{key}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".wheels-", dir=cache) as new:
        platforms = [option for name in python.platforms for option in ("--platform", name)]
        command = [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--dest", new),
            *("--only-binary", ":all:", "--implementation", "cp", "--python-version", python.version, *platforms),
            *("--require-hashes", "--requirement", str(CODE / requirements)),
        ]
        if subprocess.run(command, check=False).returncode != 0:
            raise ImageFailed(f"pip could not fetch the packages of {requirements}.")
        os.rename(new, folder)
        os.mkdir(new)  # for the context manager to remove
    folder.chmod(0o755)
    return folder


def agent_folders(agents_dir: Path) -> list[Path]:
    """The folders of the locked agents, as the executor names them; ImageFailed when one is not installed."""
    folders = []
    for lock in sorted((CODE / "executor/agents/npm").glob("*/package-lock.json")):
        digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
        folder = agents_dir / f"{lock.parent.name}-{digest}"
        if not folder.is_dir():
            raise ImageFailed(f"The agent {lock.parent.name} is not installed in {agents_dir}: make agents")
        folders.append(folder)
    return folders


def write_context(out: IO[bytes], *, wheels: Path, agents: list[Path]) -> None:
    """The same files give the same bytes: sorted, without times and owners."""
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, file in _own_files():
            _put(tar, file, name)
        for wheel in sorted(wheels.glob("*.whl")):
            _put(tar, wheel, f"wheels/{wheel.name}")
        for agent in agents:
            for file in sorted(agent.rglob("*")):
                _put(tar, file, f"agents/{file.relative_to(agent.parent)}")


def _own_files() -> Iterator[tuple[str, Path]]:
    """Yield the files of this repository for the build context, with their names in it."""
    for name in ("Dockerfile", ".dockerignore"):
        yield name, CODE / "executor" / name
    yield REQUIREMENTS, CODE / REQUIREMENTS
    yield "code/providers.toml", CODE / "providers.toml"
    for top in ("executor", "schema"):
        for file in _code(CODE / top):
            yield f"code/{file.relative_to(CODE)}", file


def _code(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder).parts
        if file.is_file() and "__pycache__" not in inside and inside[0] not in NOT_THE_EXECUTORS:
            yield file


def _put(tar: tarfile.TarFile, file: Path, name: str) -> None:
    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = 0
        info.mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
        return info

    tar.add(file, name, recursive=False, filter=plain)


def _build(client: docker.DockerClient, plan: ImagePlan, context: IO[bytes], content: str) -> str:
    try:
        image, _ = client.images.build(
            fileobj=context,
            custom_context=True,
            tag=plan.tag,
            buildargs={"BASE_IMAGE": plan.base},
            labels={CONTENT: content},
            rm=True,
            forcerm=True,
            timeout=1800,
        )
    except BuildError as error:
        raise ImageFailed(f"{error.msg} {_last_lines(error.build_log)}") from None
    except (APIError, OSError) as error:
        raise ImageFailed(f"The engine could not build it: {error}") from None
    return str(image.id)


def _last_lines(log: Any) -> str:
    return " ".join(str(entry.get("stream", "")).strip() for entry in log)[-1000:]


def main() -> int:
    """BASE_IMAGE and EXECUTOR_IMAGE name what it is made from and what it is called."""
    data = Path(os.environ.get("RUNYARD_DATA_DIR") or CODE / ".runyard").absolute()
    plan = ImagePlan(
        tag=os.environ.get("EXECUTOR_IMAGE") or "runyard-executor",
        base=os.environ.get("BASE_IMAGE") or "python:3.11-slim",
        agents_dir=Path(os.environ.get("AGENTS_DIR") or data / "agents").absolute(),
        cache=data / "image",
    )
    try:
        client = docker.from_env(timeout=600)
        image_id = build_image(client, plan)
    except (ImageFailed, DockerException) as error:
        sys.stderr.write(f"runyard: {error}\n")
        return 1
    sys.stdout.write(f"{plan.tag}: {image_id}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
