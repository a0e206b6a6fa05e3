"""A gateway's files, opened to be read and for nothing else, whether the gateway runs or not."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

# What `compact` may leave without text: see docs/ledger.md.
COMPACTED = ("event", "answer", "ack")
JOURNAL = "journal.db"
BOOKS = "pos.db"
_APPLICATION = 0x7473_7973
_SCHEMA = 3
_CANNOT = (
    "a gateway that was killed may have left it in the middle of a write, which its next start ends; and the "
    "folder must be writable by you"
)
_KEEP_A_COPY = 'put back a copy of it (docs/ledger.md, "A lost journal"), and keep the damaged one'


class Unreadable(Exception):
    """A file that cannot be read, or is none of a gateway's; says what to do."""


class Damaged(Exception):
    """A row of the journal that is not as it was written."""

    def __init__(self, record: int, what: str) -> None:
        super().__init__(f"record {record}: {what}")


class Record(NamedTuple):
    """A row of the journal; an empty `body` is one whose text was compacted away."""

    seq: int
    kind: str
    body: dict[str, Any]


@dataclass
class Window:
    """`pos.db` as it stands: what the gateway keeps there, and what the user sees."""

    meta: dict[str, str] = field(default_factory=dict)
    position: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    shadow: dict[tuple[str, str], tuple[str, str, int]] = field(default_factory=dict)
    asset: dict[tuple[str, str], str] = field(default_factory=dict)
    profit: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    fee: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def applied(self) -> int:
        """The last record of the journal that its rows know."""
        return int(self.meta.get("applied", "0"))

    @property
    def sum(self) -> str:
        """The checksum over the gateway's tables, made anew."""
        rows = [("_shadow", key, f"{qty}\0{avg}\0{rev}") for key, (qty, avg, rev) in self.shadow.items()]
        rows += [("_asset", key, amount) for key, amount in self.asset.items()]
        rows += [("_profit", key, f"{realised}\0{quote}") for key, (realised, quote) in self.profit.items()]
        rows += [("_fee", key, amount) for key, amount in self.fee.items()]
        folded = 0
        for table, (first, second), value in rows:
            row = f"{table}\0{first}\0{second}\0{value}".encode()
            folded ^= int.from_bytes(hashlib.sha256(row).digest())
        place = [self.meta.get(name, "") for name in ("journal", "applied", "generation", "market")]
        return hashlib.sha256(folded.to_bytes(32) + "\0".join(place).encode()).hexdigest()


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A read transaction on one file."""
    if not path.exists():
        place = path.parent.resolve()
        raise Unreadable(f'no {path.name} in {place}: --db names the "db" folder of a gateway')
    try:
        address = f"file:{quote(str(path))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as file:
            file.execute("BEGIN")
            yield file
    except sqlite3.DatabaseError as error:
        raise Unreadable(f"{path}: {error}; {_advice(path, error)}") from error


def _advice(path: Path, error: sqlite3.DatabaseError) -> str:
    busy = "locked" in str(error)
    if busy or (isinstance(error, sqlite3.OperationalError) and "no such" not in str(error)):
        return "somebody writes there: try again" if busy else _CANNOT
    what = _KEEP_A_COPY if path.name == JOURNAL else "move it away: the next start makes it from the journal"
    return f"stop the gateway and {what}"


class Journal:
    """An open `journal.db`: one state of it, however long it is read."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.path = path
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION:
            raise Unreadable(f"{path} is not a gateway's journal")
        if schema > _SCHEMA:
            raise Unreadable(f"{path} is of schema {schema}, not {_SCHEMA}: use the pyalgo of its gateway")
        (self.id,) = connection.execute("SELECT value FROM meta WHERE key = 'id'").fetchone()

    def records(self, kind: str, words: str = "") -> Iterator[Record]:
        """The records of a kind whose text has the words."""
        where = "WHERE kind = ?1 AND body <> '' AND instr(body, ?2) ORDER BY seq"
        rows = self.connection.execute(f"SELECT seq, kind, body FROM record {where}", (kind, words))
        return (Record(seq, kind, json.loads(body)) for seq, kind, body in rows)

    def checked(self) -> Iterator[Record]:
        """All records, each held against the chain of checksums; ends with `Damaged` where that breaks."""
        last = hashlib.sha256(self.id.encode()).hexdigest()
        rows = self.connection.execute("SELECT seq, kind, body, sum FROM record ORDER BY seq")
        bare = None
        for expected, (seq, kind, body, written) in enumerate(rows, 1):
            if seq != expected:
                raise Damaged(expected, f"it is missing, number {seq} follows")
            if not body and kind in COMPACTED:
                # Its sum is taken as it stands: the next row's covers it.
                last, bare = written, seq
                yield Record(seq, kind, {})
                continue
            bare = None
            last = hashlib.sha256(f"{last}{seq}\n{body}".encode()).hexdigest()
            if last != written:
                raise Damaged(seq, "its checksum does not match its text, or the row before it was changed")
            if not body.startswith(f'{{"kind":"{kind}"'):
                raise Damaged(seq, f"its kind {kind!r} does not match its text")
            yield Record(seq, kind, json.loads(body))
        if bare is not None:
            raise Damaged(bare, "its text is gone, and no later record covers its checksum")


@contextmanager
def journal(folder: Path) -> Iterator[Journal]:
    """The folder's journal."""
    with reading(folder / JOURNAL) as connection:
        yield Journal(connection, folder / JOURNAL)


def window(folder: Path) -> Window | None:
    """All that `pos.db` shows; `None` if there is none, which the next start makes."""
    if not (folder / BOOKS).exists():
        return None
    with reading(folder / BOOKS) as file:
        position = file.execute("SELECT session_id, lower(symbol), qty, avg_price FROM position")
        shadow = file.execute("SELECT session_id, symbol, qty, avg_price, rev FROM _shadow")
        asset = file.execute("SELECT owner, asset, amount FROM _asset")
        profit = file.execute("SELECT session_id, symbol, realised, quote FROM _profit")
        fee = file.execute("SELECT session_id, asset, amount FROM _fee")
        return Window(
            meta=dict(file.execute("SELECT key, value FROM _meta")),
            position={(str(session), symbol): (qty, avg) for session, symbol, qty, avg in position},
            shadow={(str(session), symbol): (qty, avg, rev) for session, symbol, qty, avg, rev in shadow},
            asset={(owner, name): amount for owner, name, amount in asset},
            profit={(str(session), symbol): (made, quote) for session, symbol, made, quote in profit},
            fee={(str(session), name): amount for session, name, amount in fee},
        )
