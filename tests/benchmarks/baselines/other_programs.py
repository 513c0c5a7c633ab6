"""The same as ours, by other programs: tar, zstd and restic on the local disk, rclone and aws on the same store."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.benchmarks.trees import change_files, left_behind
from tests.object_stores import RunningStore

BARE_SCAN = """
import os, sys
def walk(folder):
    with os.scandir(folder) as listing:
        for entry in listing:
            entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                walk(entry.path)
walk(sys.argv[1])
"""


def timed(command: list[str], **environment: str) -> float:
    """Seconds. What others have written is on the disk before: nobody's flush takes it along."""
    os.sync()
    began = time.monotonic()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    subprocess.run(command, check=True, capture_output=True, env={**inherited, **environment})
    return time.monotonic() - began


@dataclass
class Others:
    """The same by other programs. Every figure is in seconds."""

    folder: Path
    tree: Path
    store: RunningStore
    into: str = "small"
    numbers: Iterator[int] = field(default_factory=lambda: count(10_000))

    def scan(self) -> float:
        return timed([sys.executable, "-c", BARE_SCAN, str(self.tree)])

    def pack_by_tar(self) -> float:
        return timed(["sh", "-c", f"tar -C {self.tree} -cf - . | zstd -3 -q -f -o {self.folder}/tree.tar.zst"])

    def unpack_by_tar(self, *, then: str = "true") -> float:
        target = left_behind(self.folder)
        return timed(["sh", "-c", f"zstd -dcq {self.folder}/tree.tar.zst | tar -C {target} -xf - && {then}"])

    def unpack_by_tar_and_flush(self) -> float:
        return self.unpack_by_tar(then=f"sync -f {self.folder}")

    def sync(self, program: str, *, back: bool = False) -> float:
        """With `rclone` or `aws`: the tree to the store, or what is there into a new folder. Never as a multipart
        upload, which the store for trying out does not know."""
        return timed(self._command(program, left_behind(self.folder) if back else None), **self._environment)

    def _command(self, program: str, target: Path | None) -> list[str]:
        told, there = self.store.settings, f"{self.store.settings.bucket}/{program}-{self.into}"
        if program == "aws":
            url = f"s3://{there}"
            sides = [url, str(target)] if target else [str(self.tree), url]
            return ["aws", "s3", "sync", "--quiet", "--endpoint-url", told.endpoint_url or "", *sides]
        options = f"provider=Other,list_version=2,env_auth=true,region={told.region},endpoint='{told.endpoint_url}'"
        url = f":s3,{options}:{there}"
        flags = ["--transfers", "32", "--checkers", "32", "--s3-no-check-bucket", "--s3-upload-cutoff", "5G"]
        sides = [url, str(target)] if target else [str(self.tree), url]
        return ["rclone", "sync", *flags, "--config", "/dev/null", *sides]

    @property
    def _environment(self) -> dict[str, str]:
        told, config = self.store.settings, self.folder / "aws-config"
        config.write_text("[default]\ns3 =\n  multipart_threshold = 5GB\n  max_concurrent_requests = 32\n")
        return {
            "AWS_ACCESS_KEY_ID": told.access_key_id or "",
            "AWS_SECRET_ACCESS_KEY": told.secret_access_key or "",
            "AWS_DEFAULT_REGION": told.region,
            "AWS_CONFIG_FILE": str(config),
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        }

    def restic(self, *arguments: str) -> float:
        repository = str(self.folder / "restic")
        cache = ["--cache-dir", str(self.folder / "cache"), "--quiet"]
        return timed(["restic", "-r", repository, *cache, *arguments], RESTIC_PASSWORD="x")

    def change_for_restic(self) -> float:
        change_files(self.tree, next(self.numbers))
        return self.restic("backup", str(self.tree))

    def restore_by_restic(self) -> float:
        return self.restic("restore", "latest", "--target", str(left_behind(self.folder)))
