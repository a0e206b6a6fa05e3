"""Keeps one order open, well below the market. Arguments: address, file for the states it hears of."""

from __future__ import annotations

import sys
from pathlib import Path

from pyalgo import Depth, Engine, Order, OrderType, Side, SmartOrder, Tif


def main(addr: str, out: str) -> None:
    """Runs until it is stopped."""
    file = Path(out).open("a", encoding="utf-8")  # noqa: SIM115 - as long as the process lives
    eng = Engine(0.001)
    session = eng.make_session(addr=addr, session_id=1, name="keep one", trading=True)
    sub = session.subscribe("dogeusdt", "depth:100ms")
    order = SmartOrder(sub)

    def on_depth(_: Depth) -> None:
        if not order.is_active and session.state == "ready":
            order.send(sub.bid_prc(0) * 0.9, 100, Side.BUY, OrderType.LIMIT, Tif.GTC)
        print("depth", order.order_id, order.state, file=file, flush=True)

    def on_order(change: Order) -> None:
        print("order", change.order_id, change.state, file=file, flush=True)

    sub.on_data = on_depth
    sub.on_order = on_order
    eng.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
