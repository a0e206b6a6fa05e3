"""Strategies as processes of their own, killed and started again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from support.processes import PATIENCE


class Strategy:
    """A strategy's process."""

    def __init__(self, folder: Path, script: Path, *arguments: str, environment: dict[str, str]) -> None:
        self.command = [sys.executable, str(script), *arguments]
        self.folder = folder
        self.environment = os.environ | environment
        self.log = folder / f"{script.stem}.log"
        self.start()

    def start(self) -> None:
        """Starts it, again if it was killed."""
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                self.command, cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """As `kill -9` does."""
        self.popen.kill()
        self.popen.wait(PATIENCE)

    def words(self) -> str:
        """What it has printed."""
        return self.log.read_text()


class StartStrategy(Protocol):
    """Starts a script of tests/e2e as a strategy."""

    def __call__(self, script: str, *arguments: str) -> Strategy: ...
