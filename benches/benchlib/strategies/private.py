"""Notes when its private events come, or when it sends: `private.py ADDRESS events|orders|cancels`.

`events`: one large order, and the time of every fill. `orders`: an order each few milliseconds, and the time
before each. `cancels`: an order, then its cancel, again and again, and the time before each cancel. Says all
of it once it is told to end.
"""

from __future__ import annotations

import itertools
import json
import sys
import time

from pyalgo import DepthSubscription, Engine, Order, OrderState, OrderType, Side, SmartOrder, Tif

PAUSE_S = 0.004
NOTED: list[tuple[int, int]] = []


def send(order: SmartOrder, number: int, tif: Tif) -> bool:
    """Sends an order with this quantity."""
    return order.send(0.19, number, Side.BUY, OrderType.LIMIT, tif)


def events(sub: DepthSubscription) -> None:
    """Fills of one order."""

    def on_order(order: Order) -> None:
        if order.trade_id:
            NOTED.append((order.trade_id, time.time_ns()))

    sub.on_order = on_order
    assert send(SmartOrder(sub, adopt=False), 1_000_000, Tif.GTC)


def orders(sub: DepthSubscription) -> None:
    """Orders that end at once."""
    number = itertools.count(1_000)
    free = itertools.cycle([SmartOrder(sub) for _ in range(16)])

    def beat() -> None:
        quantity = next(number)
        at = time.time_ns()
        if send(next(free), quantity, Tif.IOC):
            NOTED.append((quantity, at))

    ENGINE.every(PAUSE_S, beat)


def cancels(sub: DepthSubscription) -> None:
    """One order at a time."""
    order = SmartOrder(sub)

    def beat() -> None:
        if not order.is_active:
            send(order, 1_000, Tif.GTC)
        elif order.state == OrderState.NEW:
            at = time.time_ns()
            if order.kill():
                NOTED.append((len(NOTED), at))

    ENGINE.every(PAUSE_S, beat)


ENGINE = Engine()


def main() -> None:
    """Runs until SIGTERM."""
    session = ENGINE.make_session(addr=sys.argv[1], session_id=2, name="private", trading=True, wait=60)
    sub = session.subscribe("dogeusdt", "bbo")
    {"events": events, "orders": orders, "cancels": cancels}[sys.argv[2]](sub)
    print(json.dumps({"ready": True}), flush=True)
    ENGINE.run()
    print(json.dumps({"noted": NOTED}), flush=True)


main()
