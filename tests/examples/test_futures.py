"""The examples that trade futures, at both real gateways: what their texts promise happens."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from support.both import ZERO, Both
from support.system import ROOT, interrupt, wait_for

EXAMPLES = ROOT / "examples"


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    parts = Both(tmp_path)
    yield parts
    parts.stop()


def test_row_004_37_81_the_hedge_is_long_on_spot_and_short_on_futures_alike(both: Both) -> None:
    program = both.strategy(EXAMPLES / "hedge.py", both.address, both.usdt.url, "7", "ethusdt", "200")
    wait_for("the login", lambda: both.usdt.logged("session taken", name="hedge"))
    both.move("ETHUSDT", "3000")
    both.move_perpetual("ETHUSDT", "3030")

    def hedged() -> bool:
        held = both.positions().get((7, "ethusdt"), ZERO)
        return held > 0 and abs(held + both.perpetual("ethusdt")) < Decimal("0.002")

    wait_for("both legs", hedged)
    # The premium is gone, and turned: both legs are closed.
    both.move_perpetual("ETHUSDT", "2970")
    wait_for("the perpetual closed", lambda: both.perpetual("ethusdt") == 0)
    code, said = interrupt(program)
    assert code == 0, said


def test_row_004_37_the_keeper_holds_its_position_and_steps_aside(both: Both) -> None:
    program = both.strategy(EXAMPLES / "funding.py", both.usdt.url, "8", "btcusdt", "500", "0.5")
    held = wait_for("the position", lambda: both.perpetual("btcusdt"))
    assert held > 0
    code, said = interrupt(program)
    assert code == 0, said
    assert both.perpetual("btcusdt") == held, "it stays"
    # Now any funding costs too much, however far away it is.
    arguments = (both.usdt.url, "8", "btcusdt", "500", "-1", "1000000")
    program = both.strategy(EXAMPLES / "funding.py", *arguments)
    wait_for("it steps aside", lambda: both.perpetual("btcusdt") == 0)
    code, said = interrupt(program)
    assert (code, "aside" in said) == (0, True), said


def test_row_004_37_the_trailing_stop_sells_when_the_price_turns(both: Both) -> None:
    program = both.strategy(EXAMPLES / "trailing_stop.py", both.usdt.url, "9", "solusdt", "100", "1")
    assert program.stdout is not None
    bought = wait_for("the position", lambda: both.perpetual("solusdt"))
    for line in program.stdout:
        if "stop follows" in line:
            break
    # The strategy is killed: the stop works all the same.
    program.kill()
    price = Decimal(both.futures("trades")[-1]["price"])
    # Up, for the stop to follow, and down, as often as it takes a trade at each to happen.
    prices = itertools.cycle(
        str((price * Decimal(factor)).quantize(Decimal("0.01"))) for factor in ("1.02", "0.97")
    )

    def left() -> bool:
        both.move_perpetual("SOLUSDT", next(prices))
        return both.perpetual("solusdt") == 0

    wait_for("the exit", left)
    sold = sum(Decimal(row["qty"]) for row in both.futures("trades") if row["side"] == "SELL")
    assert sold == bought
    booked = wait_for(
        "the exit in the books",
        lambda: both.usdt.sql("SELECT qty FROM position WHERE session_id=9 AND qty='0'"),
    )
    assert booked
