"""Sends an order at every so manieth tick: `ticks.py ADDRESS VIEW EVERY INTERVAL`.

The number of a tick is the quantity of its best bid; it becomes the quantity of the order. Says how many
callbacks there were once it is told to end.
"""

from __future__ import annotations

import itertools
import json
import sys

from pyalgo import Depth, Engine, OrderType, Side, SmartOrder, Tif

# Orders that may be under way at once.
AT_ONCE = 64


def main() -> None:
    """Subscribes and runs until SIGTERM."""
    address, view, every, interval = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    eng = Engine(interval)
    session = eng.make_session(addr=address, session_id=1, name="ticks", trading=True, wait=60)
    sub = session.subscribe("dogeusdt", view)
    orders = itertools.cycle([SmartOrder(sub) for _ in range(AT_ONCE)])
    calls = refused = 0

    def on_data(depth: Depth) -> None:
        nonlocal calls, refused
        calls += 1
        number = int(depth.bid_vol(0))
        if number % every == 0 and not next(orders).send(0.19, number, Side.BUY, OrderType.LIMIT, Tif.IOC):
            refused += 1

    sub.on_data = on_data
    print(json.dumps({"ready": True}), flush=True)
    eng.run()
    print(json.dumps({"calls": calls, "refused": refused}), flush=True)


main()
