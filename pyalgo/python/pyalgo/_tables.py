"""Tables and times for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

_NOT_SHOWN = "\ufffd"


def table(head: Sequence[str], rows: Sequence[Sequence[object]], what: str) -> list[str]:
    """Columns as wide as their longest entry, under their names; or that there is none of `what`."""
    if not rows:
        return [f"no {what}"]
    cells = [list(head), *([plain(str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def plain(text: str) -> str:
    """Names and reasons come from outside: none of them moves the cursor."""
    return "".join(letter if letter.isprintable() else _NOT_SHOWN for letter in text)


def moment(nanos: int | None) -> str:
    """A point in time, UTC."""
    if nanos is None:
        return "-"
    return datetime.fromtimestamp(nanos / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def age(nanos: int) -> str:
    """A span in its two largest units."""
    seconds = max(nanos, 0) // 1_000_000_000
    if seconds < 10:
        return f"{max(nanos, 0) / 1e9:.1f} s"
    for unit, size, next_unit, next_size in (
        ("d", 86_400, "h", 3_600),
        ("h", 3_600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if seconds >= size:
            rest = seconds % size // next_size
            return f"{seconds // size} {unit} {rest} {next_unit}" if rest else f"{seconds // size} {unit}"
    return f"{seconds} s"
