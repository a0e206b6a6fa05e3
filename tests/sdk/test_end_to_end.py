"""The SDK at the real gateway and the simulated exchange."""

from __future__ import annotations

from typing import Any

from sdk.conftest import Connect
from support.system import System, wait_for

from pyalgo import OrderState, OrderType, Side, SmartOrder, Tif


def test_row_004_03_an_order_from_the_strategy_to_the_exchange_and_back(
    system: System, connect: Connect
) -> None:
    play = connect(system)
    sub = play.session.subscribe("dogeusdt", "depth:100ms")
    order = SmartOrder(sub)
    states: list[Any] = []
    sub.on_order = lambda told: states.append(told.state)
    play.run_until(lambda: play.session.state == "ready" and sub.bid_level)
    assert order.send(sub.ask_prc(0) * 1.01, 10, Side.BUY, OrderType.LIMIT, Tif.GTC)
    play.run_until(lambda: not order.is_active and order.state is not None)
    assert order.state == OrderState.FILLED
    assert states[-1] == OrderState.FILLED
    assert sum(float(trade["qty"]) for trade in system.trades()) == 10.0
    held = wait_for("pos.db", system.positions)
    assert {key: float(quantity) for key, quantity in held.items()} == {(1, "dogeusdt"): sub.net}
