"""The type of the fixture that makes a small repository."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Plant(Protocol):
    """Writes files below a fresh folder and returns that folder."""

    def __call__(self, files: dict[str, str]) -> Path: ...
