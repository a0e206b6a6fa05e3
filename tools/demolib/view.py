"""What a person sees of the demo: what happens, line by line, and a table that is kept up to date."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import TextIO

from demolib.books import Amounts, SessionBooks, TieOut

HEAD = ("session", "strategy", "orders", "fills", "position", "fees", "realised")
# Without a terminal the table is printed now and then instead of being redrawn.
PLAIN_EVERY_S = 5.0
LIVE_EVERY_S = 0.5
UP_AND_CLEAR = "\x1b[{lines}F\x1b[J"


class View:
    """Writes to a terminal, where the table stays in place, or to anything else, in plain lines."""

    def __init__(self, out: TextIO, names: dict[int, str]) -> None:
        self.out = out
        self.names = names
        self.live = out.isatty()
        self.start = time.monotonic()
        self.drawn = 0
        self.printed = -PLAIN_EVERY_S

    def event(self, text: str) -> None:
        """Something happened."""
        self._erase()
        self._write(f"{time.monotonic() - self.start:5.1f} s  {text}\n")

    def progress(self, read: Callable[[], Sequence[SessionBooks]]) -> None:
        """How the books stand; they are read only when it is time to show them."""
        now = time.monotonic()
        if now - self.printed < (LIVE_EVERY_S if self.live else PLAIN_EVERY_S):
            return
        self.printed = now
        sessions = read()
        if self.live:
            self._erase()
            lines = ["", *table(self.rows(sessions))]
            self.drawn = len(lines)
            self._write("".join(f"{line}\n" for line in lines))
            return
        counts = [
            f"{self.names.get(books.session, '?')} {books.orders} orders {books.fills} fills"
            for books in sessions
        ]
        self.event("; ".join(counts) or "no order yet")

    def report(self, sessions: Sequence[SessionBooks], assets: Sequence[TieOut], title: str = "") -> None:
        """The end: per session, then per asset."""
        self._erase()
        self._write(f"\n{title}\n" if title else "\n")
        self._write("".join(f"{line}\n" for line in table(self.rows(sessions))))
        rows: list[tuple[str, ...]] = [
            ("asset", "sessions", "external", "unattributed", "clearing", "sum", "exchange", "")
        ]
        for line in assets:
            parts = (
                line.sessions, line.external, line.unattributed, line.clearing, line.whole, line.exchange
            )  # fmt: skip
            rows.append((line.asset, *map(plain, parts), "holds" if line.holds else "DIFFERS"))
        self._write("\n" + "".join(f"{line}\n" for line in table(rows)))

    def rows(self, sessions: Iterable[SessionBooks]) -> list[tuple[str, ...]]:
        """The table of sessions as texts."""
        rows: list[tuple[str, ...]] = [HEAD]
        for books in sessions:
            amounts = (named(books.positions), named(books.fees), named(books.realised))
            name = self.names.get(books.session, "")
            rows.append((str(books.session), name, str(books.orders), str(books.fills), *amounts))
        return rows

    def _erase(self) -> None:
        if self.drawn:
            self._write(UP_AND_CLEAR.format(lines=self.drawn))
            self.drawn = 0

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()


def named(amounts: Amounts) -> str:
    """`0.5 BTC, -2 USDT`, without zeros."""
    return ", ".join(f"{plain(amount)} {name}" for name, amount in sorted(amounts.items()) if amount) or "-"


def plain(amount: Decimal) -> str:
    """The shortest plain decimal."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width; the first line is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return [line.rstrip() for line in lines]
