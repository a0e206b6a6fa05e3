"""`journal.snapshot` held against the journal: it may leave out what later records made void, no more.

Not judged: acknowledgements and answers, an order's states before its last, and events that were
acknowledged. That a start from it is one from all records is what the gateway's own `verify` says.
"""

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


# Of these, the newest of a key.
_NEWEST = {
    "order_state": ("id",),
    "cursor": ("symbol",),
    "debt": ("asset",),
    "funding": ("symbol", "charge", "time"),
    "limits": (),
}
# So many events of a session are kept at most.
_EVENTS_MAX = 100_000


class Owed:
    """What of the records so far a snapshot must have and has not, by what makes it void."""

    def __init__(self) -> None:
        self._newest: dict[tuple[Any, ...], Record] = {}
        self._events: dict[int, dict[int, Record]] = {}
        self._latest: dict[int, Record] = {}
        self._generation = 0

    def take(self, record: Record, *, kept: bool) -> None:
        """The next record of the journal, and whether the snapshot has it."""
        body = record.body
        if record.kind in _NEWEST and body:
            key = (record.kind, *(body[name] for name in _NEWEST[record.kind]))
            self._newest.pop(key, None)
            if not kept:
                self._newest[key] = record
        elif record.kind == "generation":
            self._generation = body["generation"]
            self._events.clear()
            self._latest.clear()
        elif record.kind == "event" and body:
            self._event(record, body["session"], body["sequence"], kept=kept)
        elif record.kind == "ack" and body and body["generation"] == self._generation:
            events = self._events.get(body["session"], {})
            for sequence in [sequence for sequence in events if sequence <= body["sequence"]]:
                del events[sequence]

    def _event(self, record: Record, session: int, sequence: int, *, kept: bool) -> None:
        # The newest of a session stays even if it was acknowledged: numbers go on behind it.
        self._latest.pop(session, None)
        events = self._events.setdefault(session, {})
        events.pop(sequence - _EVENTS_MAX, None)
        if not kept:
            self._latest[session] = events[sequence] = record

    def first(self) -> Record | None:
        """The first of them."""
        events = [record for of_session in self._events.values() for record in of_session.values()]
        owed = [*self._newest.values(), *self._latest.values(), *events]
        return min(owed, default=None, key=lambda record: record.seq)


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
        self._owed = Owed()
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
        kept = self._next is not None and self._next == record.body
        self._owed.take(record, kept=kept)
        if kept:
            self._advance()
        elif record.kind in _STAYS:
            self.wrong = f"it lacks record {record.seq}, of kind {record.kind}"
            return
        if record.seq == self.row:
            self._end()

    def _end(self) -> None:
        lacks = self._owed.first()
        if self._next is not None:
            self.wrong = f"it has a record the journal does not have: {json.dumps(self._next)[:200]}"
        elif lacks is not None:
            self.wrong = f"it lacks record {lacks.seq}, of kind {lacks.kind}, which no later one made void"

    def _advance(self) -> None:
        line = next(self._lines, None)
        self._next = None if line is None else json.loads(line)
