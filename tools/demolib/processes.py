"""The processes of the demo: their output goes to files, and none is left behind."""

from __future__ import annotations

import contextlib
import json
import random
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType


class ProcessError(Exception):
    """A process did not do what the demo needs. The message is one line."""


class Process:
    """One program with its log file, which several runs of it share."""

    def __init__(
        self, name: str, command: Sequence[str | Path], env: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.env = dict(env)
        self.log = folder / f"{name}.log"
        self.folder = folder
        self.running: subprocess.Popen[str] | None = None

    def start(self, read_output: bool = False) -> None:
        """Starts it; its output goes to the log, or standard output to us if asked for."""
        with self.log.open("a", encoding="utf-8") as log, undisturbed():
            self.running = subprocess.Popen(
                self.command,
                env=self.env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if read_output else log,
                stderr=log,
                text=True,
            )

    def first_line(self, timeout_s: float) -> dict[str, str]:
        """The line of JSON a server prints when it listens."""
        assert self.running is not None
        assert self.running.stdout is not None
        if not select.select([self.running.stdout], [], [], timeout_s)[0]:
            raise ProcessError(f"{self.name} did not say where it listens; see {self.log}")
        line = self.running.stdout.readline()
        if not line:
            raise ProcessError(f"{self.name} ended at once: {self.last_words()}")
        answer: dict[str, str] = json.loads(line)
        return answer

    def kill(self) -> None:
        """As `kill -9` does: the process has no say in it."""
        if self.running is not None:
            self.running.kill()
            self.running.wait()
            self.running = None

    def stop(self, timeout_s: float) -> int:
        """Asks it to end and waits; returns its exit code (negative: the signal it died of)."""
        if self.running is None:
            return 0
        if self.running.poll() is None:
            self.running.send_signal(signal.SIGTERM)
        try:
            code = self.running.wait(timeout_s)
            self.running = None
            return code
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProcessError(f"{self.name} did not end within {timeout_s:.0f} s of SIGTERM") from None

    def ended(self) -> bool:
        """Did it end by itself?"""
        return self.running is not None and self.running.poll() is not None

    def last_words(self) -> str:
        """The last line of its log."""
        lines = (
            self.log.read_text(encoding="utf-8", errors="replace").split("\n") if self.log.exists() else []
        )
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Holds Ctrl-C and SIGTERM back: a process just started that nobody knows yet would be left behind."""
    held: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        held.append(number)

    before = [(number, signal.signal(number, hold)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        for pending in held:
            signal.raise_signal(pending)


# Below what the system gives to connections that leave: nobody else's takes it while a program is restarted.
PORTS = range(20_000, 32_000)
GIVEN: set[int] = set()


def free_port() -> int:
    """A port nobody listens on now, another one each time."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in GIVEN:
                GIVEN.add(port)
                return port


def listens(port: int) -> bool:
    """Does somebody accept connections there?"""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(what: str, holds: Callable[[], bool], timeout_s: float) -> None:
    """Looks again and again, as a file or a port gives no other sign."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise ProcessError(f"waited {timeout_s:.0f} s in vain: {what}")
        time.sleep(0.05)
