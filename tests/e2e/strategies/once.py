"""Buys once at the market, and writes down what it hears. Arguments: address, symbol, quantity, file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyalgo import Depth, Engine, Order, OrderType, Side, SmartOrder


def main(addr: str, symbol: str, qty: str, out: str) -> None:
    """Runs until the order has ended."""
    file = Path(out).open("a", encoding="utf-8")  # noqa: SIM115 - as long as the process lives
    eng = Engine(0.001)
    session = eng.make_session(addr=addr, session_id=1, name="once", trading=True)
    sub = session.subscribe(symbol, "depth:100ms")
    order = SmartOrder(sub)

    def on_depth(_: Depth) -> None:
        if session.state == "ready" and order.order_id is None:
            order.send(None, qty, Side.BUY, OrderType.MARKET)

    def on_order(change: Order) -> None:
        print(json.dumps([change.order_id, str(change.state), str(sub.net)]), file=file, flush=True)
        if not order.is_active:
            eng.stop()

    sub.on_data = on_depth
    sub.on_order = on_order
    eng.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
