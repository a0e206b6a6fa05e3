"""What a person sees of the demo."""

from __future__ import annotations

import io
from decimal import Decimal

from demolib.books import SessionBooks, TieOut
from demolib.view import View, plain

NAMES = {1: "maker", 2: "taker"}
BOOKS = [
    SessionBooks(
        1, 12, 3, {"dogeusdt": Decimal("120.5")}, {"DOGE": Decimal("0.10")}, {"USDT": Decimal("-1.20")}
    ),
    SessionBooks(2, 1),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_there_are_plain_lines() -> None:
    out = io.StringIO()
    view = View(out, NAMES)
    view.progress(lambda: BOOKS)
    view.progress(lambda: BOOKS)
    assert out.getvalue().count("maker 12 orders 3 fills; taker 1 orders 0 fills") == 1
    assert "\x1b" not in out.getvalue()


def test_on_a_terminal_the_table_is_drawn_over() -> None:
    out = Terminal()
    view = View(out, NAMES)
    view.progress(lambda: BOOKS)
    drawn = out.getvalue().count("\n")
    view.event("gateway killed")
    assert f"\x1b[{drawn}F\x1b[J" in out.getvalue()
    assert out.getvalue().endswith("gateway killed\n")


def test_the_report_shows_every_part_and_names_a_difference() -> None:
    out = io.StringIO()
    good = TieOut("USDT", Decimal(1), Decimal(99), Decimal(0), Decimal(100))
    bad = TieOut("DOGE", Decimal(1), Decimal(0), Decimal(0), Decimal(2))
    View(out, NAMES).report(BOOKS, [good, bad])
    lines = out.getvalue().splitlines()
    assert lines[3].split() == ["1", "maker", "12", "3", "120.5", "dogeusdt", "0.1", "DOGE", "-1.2", "USDT"]
    assert [line.split()[-1] for line in lines if line.startswith(("USDT", "DOGE"))] == ["holds", "DIFFERS"]


def test_numbers_are_plain() -> None:
    numbers = ("1E+2", "100", "0.10", "0", "-0.5000")
    assert [plain(Decimal(text)) for text in numbers] == ["100", "100", "0.1", "0", "-0.5"]
