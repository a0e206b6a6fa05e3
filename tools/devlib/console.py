"""What a task says: phases with their seconds, and one clear line when it cannot go on."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

UNAVAILABLE = 69


class Stop(Exception):
    """The task cannot go on. The message is one line that says what to do."""

    def __init__(self, message: str, code: int = UNAVAILABLE) -> None:
        super().__init__(message)
        self.code = code


def say(text: str) -> None:
    """One line to the user, in order with the output of the programs we start."""
    print(text, flush=True)


@contextlib.contextmanager
def phase(name: str) -> Iterator[None]:
    """Names a piece of work and prints how many seconds it took."""
    say(f"== {name}")
    start = time.monotonic()
    try:
        yield
    finally:
        say(f"== {name}: {time.monotonic() - start:.1f} s")


def call(command: Sequence[str | Path], env: Mapping[str, str], cwd: Path) -> int:
    """Runs a program with our own output; returns its exit code."""
    sys.stdout.flush()
    return subprocess.call([str(part) for part in command], env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL)
