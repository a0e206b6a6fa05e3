"""Sends an order at every so manieth tick, and has a heap: `heap.py ADDRESS EVERY CONTAINERS COLLECT`.

So many containers are there from the beginning; each tick makes more, and keeps them for a window of ticks.
The number of a tick is the quantity of its best bid; it becomes the quantity of the order.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections import deque

from pyalgo import Depth, Engine, OrderType, Side, SmartOrder, Tif

# Orders that may be under way at once.
AT_ONCE = 64
# Made at each tick, and ticks they are kept for.
MADE, WINDOW = 50, 5_000


def main() -> None:
    """Subscribes and runs until it is killed."""
    address, every, containers, collect = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    heap = [[number] for number in range(containers)]
    eng = Engine(collect="idle" if collect == "idle" else "python")
    session = eng.make_session(addr=address, session_id=1, name="heap", trading=True, wait=60)
    sub = session.subscribe("dogeusdt", "bbo")
    orders = itertools.cycle([SmartOrder(sub) for _ in range(AT_ONCE)])
    window: deque[list[list[int]]] = deque(maxlen=WINDOW)

    def on_data(depth: Depth) -> None:
        number = int(depth.bid_vol(0))
        window.append([[number, turn] for turn in range(MADE)])
        if number % every == 0:
            next(orders).send(0.19, number, Side.BUY, OrderType.LIMIT, Tif.IOC)

    sub.on_data = on_data
    print(json.dumps({"ready": True}), flush=True)
    eng.run()
    heap.clear()


main()
