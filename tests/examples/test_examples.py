"""Every example at the real gateway and a moving market: what its text promises happens."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from support.processes import PATIENCE
from support.system import ROOT, System, interrupt, wait_for

EXAMPLES = ROOT / "examples"


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[System]:
    """A system with a quick market."""
    parts = System(tmp_path, ["--ticks-per-second", "50"])
    yield parts
    parts.stop()


def held(system: System, base: str) -> Decimal:
    """What the account's trades made of an asset, fees in it included, by the exchange's own file."""
    total = Decimal()
    for trade in system.trades():
        if trade["symbol"] == f"{base}USDT":
            total += Decimal(trade["qty"]) * (1 if trade["side"] == "BUY" else -1)
        if trade["commission_asset"] == base:
            total -= Decimal(trade["commission"])
    return total


def test_every_example_has_a_test_and_says_what_it_is() -> None:
    names = {file.stem for file in EXAMPLES.glob("*.py")}
    assert names == {
        "demo", "kline", "pair", "market_maker", "momentum", "two_strategies", "hedge", "funding",
        "trailing_stop", "exactly_once",
    }  # fmt: skip
    for name in names - {"demo"}:
        assert (EXAMPLES / f"{name}.py").read_text().startswith('"""')
    # The demo is the reference's, which tests/e2e runs, but for a line: that never attaches its `on_order`.
    reference = (ROOT / "tests" / "e2e" / "reference" / "demo.py").read_text()
    attached = "        self.sub.on_order = self.on_order\n"
    demo = (EXAMPLES / "demo.py").read_text()
    assert attached in demo and demo.replace(attached, "") == reference


def test_the_demo_prints_its_order(busy: System) -> None:
    text = (EXAMPLES / "demo.py").read_text().replace("ws://localhost:8111", busy.address)
    (busy.folder / "demo.py").write_text(text)
    program = busy.strategy(busy.folder / "demo.py")
    assert program.stdout is not None
    assert "dogeusdt" in program.stdout.readline(), "the order's first event"
    code, _ = interrupt(program)
    assert code == 0


def test_row_004_37_81_kline_prints_the_past_and_the_present(busy: System) -> None:
    program = busy.strategy(EXAMPLES / "kline.py", busy.address, "2", "dogeusdt", "1s")
    assert program.stdout is not None
    lines = [program.stdout.readline() for _ in range(15)]
    assert all(" dogeusdt 1s " in line for line in lines), lines
    assert sorted(line[:19] for line in lines) == [line[:19] for line in lines]
    code, _ = interrupt(program)
    assert code == 0


def test_row_004_37_81_pair_trades_both_symbols_against_each_other(busy: System) -> None:
    program = busy.strategy(EXAMPLES / "pair.py", busy.address, "3", "ethusdt", "solusdt")

    prices = itertools.cycle(["3100", "2900"])

    def both() -> bool:
        busy.move("ETHUSDT", next(prices))
        return {trade["symbol"] for trade in busy.trades()} == {"ETHUSDT", "SOLUSDT"}

    wait_for("trades in both", both)
    code, _ = interrupt(program)
    assert code == 0


def test_the_market_maker_resumes_without_loss(busy: System) -> None:
    fills = busy.folder / "fills"
    arguments = (busy.address, "4", "dogeusdt", str(fills))
    program = busy.strategy(EXAMPLES / "market_maker.py", *arguments)
    wait_for("a bid and an ask", lambda: {order["side"] for order in busy.orders()} == {"BUY", "SELL"})
    busy.move("DOGEUSDT", "0.17")
    wait_for("a fill", lambda: fills.exists() and "BUY" in fills.read_text())
    wait_for("a new bid", lambda: {order["side"] for order in busy.orders()} == {"BUY", "SELL"})
    program.kill()
    program.communicate()
    with fills.open("a") as file:
        file.write("1 2")  # As if it had died amid a line.
    count = len(busy.trades())
    busy.move("DOGEUSDT", "0.19")
    wait_for("fills while away", lambda: len(busy.trades()) > count)
    program = busy.strategy(EXAMPLES / "market_maker.py", *arguments)

    def told() -> list[tuple[str, Decimal]]:
        rows = [line.split() for line in fills.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [(row[3], Decimal(row[4])) for row in rows]

    def happened() -> list[tuple[str, Decimal]]:
        return [(trade["side"], Decimal(trade["qty"])) for trade in busy.trades()]

    assert program.stdout is not None
    assert any("(missed while away)" in line for line in program.stdout), "it is told of what it missed"
    wait_for("every fill in the file", lambda: len(told()) >= count + 1)
    code, _ = interrupt(program)
    assert code == 0
    # Each once, in order, as they happened; what was traded after the end is for the next start.
    cursors = [line.split()[:2] for line in fills.read_text().splitlines()]
    assert len(cursors) == len(set(map(tuple, cursors)))
    assert told() == happened()[: len(told())]


def test_exactly_once_books_every_fill_once_though_it_is_killed(busy: System) -> None:
    file = busy.folder / "own.db"

    def booked() -> list[tuple[int, str, Decimal]]:
        if not file.exists():
            return []
        with sqlite3.connect(file, timeout=PATIENCE) as db:
            made = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'cursor'").fetchall()
            query = "SELECT trade_id, side, quantity FROM fill ORDER BY rowid"
            rows = db.execute(query).fetchall() if made else []
        db.close()
        return [(trade, side, Decimal(str(quantity))) for trade, side, quantity in rows]

    arguments = (busy.address, "9", "dogeusdt", str(file), "0.02")
    killed = busy.strategy(EXAMPLES / "exactly_once.py", *arguments)
    wait_for("fills in its books", lambda: killed.poll() is None and len(booked()) >= 3)
    killed.kill()
    killed.communicate()
    count = len(booked()) + 3
    program = busy.strategy(EXAMPLES / "exactly_once.py", *arguments)
    wait_for("more of them", lambda: program.poll() is None and len(booked()) >= count)
    code, _ = interrupt(program)
    assert code == 0
    happened = [(trade["trade_id"], trade["side"], Decimal(trade["qty"])) for trade in busy.trades()]
    assert booked() == happened[: len(booked())]


def test_momentum_holds_at_most_its_quantity(busy: System) -> None:
    notional = 200
    program = busy.strategy(EXAMPLES / "momentum.py", busy.address, "5", "dogeusdt", "1s", str(notional))
    wait_for("an order", lambda: busy.orders("all"))
    wait_for("a second one", lambda: len(busy.orders("all")) > 1)
    assert len(busy.orders()) <= 1
    code, said = interrupt(program)
    assert code == 0
    assert "dogeusdt BUY" in said or "dogeusdt SELL" in said
    position = busy.positions().get((5, "dogeusdt"), Decimal())
    assert abs(position) * Decimal("0.2") <= notional * Decimal("1.2")


def test_two_strategies_share_a_symbol(busy: System) -> None:
    program = busy.strategy(EXAMPLES / "two_strategies.py", busy.address, "6", "dogeusdt")

    def both() -> bool:
        found = busy.positions()
        return found.get((6, "dogeusdt"), Decimal()) > 0 > found.get((7, "dogeusdt"), Decimal())

    wait_for("one long and one short", both)
    code, said = interrupt(program)
    assert code == 0
    assert "together" in said

    def adds_up() -> bool:
        return sum(busy.positions().values()) == held(busy, "DOGE")

    wait_for("the sum is the exchange's", adds_up)


def test_two_strategies_add_up_in_rough_weather(tmp_path: Path) -> None:
    system = System(tmp_path, ["--ticks-per-second", "50", "--faults", str(EXAMPLES / "weather.json")])
    try:
        program = system.strategy(EXAMPLES / "two_strategies.py", system.address, "6", "dogeusdt")

        def both() -> bool:
            found = system.positions()
            return found.get((6, "dogeusdt"), Decimal()) > 0 > found.get((7, "dogeusdt"), Decimal())

        wait_for("one long and one short", both)
        struck = tmp_path / "sim" / "faults.jsonl"
        wait_for("the storm", lambda: struck.exists() and '"note":"storm"' in struck.read_text())
        code, _ = interrupt(program)
        assert code == 0
        system.exchange.control("DELETE", "/control/faults")
        wait_for(
            "the sum is the exchange's", lambda: sum(system.positions().values()) == held(system, "DOGE")
        )
    finally:
        system.stop()
