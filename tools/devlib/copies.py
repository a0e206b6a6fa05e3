"""Copies of the checkout and of its build, on which code may be changed without touching either."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Iterable
from pathlib import Path

from devlib.paths import ROOT

LEFT_OUT = {".git", ".dev", ".toolchain", "target", "demo-out", "__pycache__"}
# Build outputs below this size are copied; larger ones of foreign crates are linked: nobody rewrites those.
LINKED_FROM_BYTES = 256 * 1024


def copy_tree(source: Path, destination: Path) -> None:
    """Copies the sources with their modification times."""
    shutil.rmtree(destination, ignore_errors=True)
    shutil.copytree(source, destination, symlinks=True, ignore=lambda _, names: LEFT_OUT & set(names))


def copy_target(source: Path, destination: Path) -> None:
    """Copies the debug build; large outputs of foreign crates and incremental sessions are linked instead."""
    shutil.rmtree(destination, ignore_errors=True)
    ours = tuple(name.replace("-", "_") for name in _workspace_crates())

    def link_or_copy(path: str, to: str) -> str:
        file = Path(path)
        name = file.name.removeprefix("lib").replace("-", "_")
        foreign = file.parent.name == "deps" and not name.startswith(ours)
        # rustc itself links the files of one incremental session into the next.
        if "incremental" in file.parts or (foreign and file.stat().st_size >= LINKED_FROM_BYTES):
            os.link(path, to)
            return to
        return str(shutil.copy2(path, to))

    shutil.copytree(source / "debug", destination / "debug", symlinks=True, copy_function=link_or_copy)


def _workspace_crates() -> Iterable[str]:
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    names = [package["name"] for package in lock["package"] if "source" not in package]
    # What pyalgo's library is called, and the binaries.
    return [*names, "_core", "core", "spot"]
