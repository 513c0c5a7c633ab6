"""Trees to save: many small files, and a few large ones that no compression makes smaller."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

PACKAGES, FILES_EACH, CHANGED = 1250, 40, 20
LARGE_FILES = 8


def make_tree(root: Path) -> None:
    """Like node_modules: 50,000 files in 8,750 folders, 3.3 KB each on average, which compress to a third or so."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 11))) for _ in range(3000)]
    signs = [" ", " ", " ", "\n  ", "(", ");\n", " = ", ".", ", ", " {\n", "}\n"]
    for package in range(PACKAGES):
        for number in range(FILES_EACH):
            folder = root / f"p{package}" / ("lib", "dist/cjs", "dist/esm", "test", "types/x")[number % 5]
            folder.mkdir(parents=True, exist_ok=True)
            size = int(chance.lognormvariate(5.3, 1.1))
            text = "".join(word + chance.choice(signs) for word in chance.choices(words, k=size))
            (folder / f"m{number}.js").write_text(text[:400_000])


def make_large_files(root: Path) -> None:
    """2 GiB."""
    root.mkdir(parents=True)
    for number in range(LARGE_FILES):
        with (root / f"model-{number}.bin").open("wb") as file:
            for _ in range(16):
                file.write(os.urandom(16 * 2**20))


def left_behind(folder: Path) -> Path:
    """An empty folder for something that is restored, which stays to the end of all measurements: ext4 passes over
    inodes that were freed within the last minutes one by one, so whoever makes files after a tree was removed takes up
    to ten times as long."""
    return Path(tempfile.mkdtemp(prefix="restored-", dir=folder))


def change_files(tree: Path, number: int) -> None:
    """Other files in each round, 20 of them, in as many folders."""
    for which in range(CHANGED):
        package = (number * CHANGED + which) % PACKAGES
        (tree / f"p{package}" / "lib" / "m0.js").write_text(f"changed in round {number}\n")


def change_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100 * 2**20)
        file.write(os.urandom(1))
