"""Places ten market orders, sleeps in a callback while they fill, and writes down what it hears.

Arguments: address, the exchange's for questions, file. It sleeps until the exchange is sixty updates ahead.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from pathlib import Path

from pyalgo import Depth, Engine, Order, OrderType, Side, SmartOrder


def main(addr: str, rest: str, out: str) -> None:
    """Runs until it has heard of all its orders."""
    file = Path(out).open("a", encoding="utf-8")  # noqa: SIM115 - open as long as the process lives
    eng = Engine(0.001)
    session = eng.make_session(addr=addr, session_id=1, name="sleeper", trading=True)
    sub = session.subscribe("dogeusdt", "bbo")
    orders = [SmartOrder(sub) for _ in range(10)]
    ends = []

    def write(*words: object) -> None:
        print(json.dumps(words), file=file, flush=True)

    def newest() -> int:
        with urllib.request.urlopen(f"{rest}/api/v3/depth?symbol=DOGEUSDT&limit=5", timeout=60) as answer:
            return int(json.load(answer)["lastUpdateId"])

    def on_data(depth: Depth) -> None:
        write("bbo", depth.update_id)
        if session.state == "ready" and orders[0].state is None:
            for order in orders:
                order.send(0, 20, Side.BUY, OrderType.MARKET)
            time.sleep(5)
            while newest() < depth.update_id + 60:
                time.sleep(0.2)
            write("slept", depth.update_id, newest())

    def on_order(order: Order) -> None:
        if order.cursor is not None:
            write("order", order.cursor)
        if not order.is_active:
            ends.append(order.order_id)
        if len(set(ends)) == len(orders):
            eng.after(0.5, finish)

    def finish() -> None:
        write("done")
        eng.stop()

    sub.on_data = on_data
    session.on_order = on_order
    eng.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
