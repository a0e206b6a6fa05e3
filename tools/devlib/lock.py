"""One ./dev at a time in a checkout, so that two terminals cannot interleave builds and installs."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from devlib.console import say

# Set for the programs a task starts: a ./dev inside a ./dev (a test of this very tool) goes through.
HELD = "DEV_LOCK_HELD"


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds the lock file while the body runs; says whom it waits for."""
    if os.environ.get(HELD) == str(path):
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            say(f"dev: waiting for another ./dev in this checkout (process {holder})")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        os.environ[HELD] = str(path)
        try:
            yield
        finally:
            del os.environ[HELD]
