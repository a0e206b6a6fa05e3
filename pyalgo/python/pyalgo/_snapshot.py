"""`journal.snapshot` held against the journal: it may leave out what later records made void, no more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._files import Journal, Record

SNAPSHOT = "journal.snapshot"
_FORMAT = 1
# What no record makes void.
_STAYS = {
    "start", "generation", "listing", "scanned", "order", "fill", "cash", "adjust", "charge", "allocation",
    "trusted",
}  # fmt: skip


class Snapshot:
    """A snapshot as it stood when the look began, and how far it agrees with the records taken."""

    def __init__(self, folder: Path) -> None:
        self.note = ""
        self.wrong = ""
        self.row = 0
        self.count = 0
        self._head: dict[str, Any] = {}
        self._lines: Iterator[bytes] = iter(())
        self._next: dict[str, Any] | None = None
        path = folder / SNAPSHOT
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return
        self._open(content)

    def _open(self, content: bytes) -> None:
        text, _, sum_ = content.removesuffix(b"\n").rpartition(b"\n")
        if hashlib.sha256(text + b"\n").hexdigest().encode() != sum_ or not content.endswith(b"\n"):
            self.wrong = "its checksum does not match its text"
            return
        head, *lines = text.split(b"\n")
        self._head = json.loads(head)
        if self._head["format"] != _FORMAT:
            self.note = f"{SNAPSHOT} is of format {self._head['format']}, which this pyalgo does not know"
            return
        self.row, self.count = self._head["seq"], len(lines)
        self._lines = iter(lines)
        self._advance()

    def belongs(self, file: Journal) -> None:
        """Is it of a record of that journal? If not, no start will use it."""
        if not self.row:
            return
        query = "SELECT sum FROM record WHERE seq = ?1"
        row = file.connection.execute(query, (self.row,)).fetchone()
        if self._head["journal"] != file.id or row is None or row[0] != self._head["sum"]:
            self.note = f"{SNAPSHOT} is not of this journal: the next start reads every record instead"
            self.row = 0

    def take(self, record: Record) -> None:
        """The next record of the journal."""
        if record.seq > self.row or self.wrong:
            return
        while self._next is not None and self._next["kind"] == "end" and self._next != record.body:
            # In place of others: that the gateway was alive then.
            self._advance()
        if self._next is not None and self._next == record.body:
            self._advance()
        elif record.kind in _STAYS:
            self.wrong = f"it lacks record {record.seq}, of kind {record.kind}"
            return
        if record.seq == self.row and self._next is not None:
            self.wrong = f"it has a record the journal does not have: {json.dumps(self._next)[:200]}"

    def _advance(self) -> None:
        line = next(self._lines, None)
        self._next = None if line is None else json.loads(line)
