"""Two orders that rest, and then: nothing more, or a callback that hangs. Arguments: address, policy."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from pyalgo import Engine, OrderType, Side, SmartOrder, Tif

ADDRESS, POLICY = sys.argv[1:3]
DECLARED: dict[str, dict[str, Any]] = {
    "keep": {},
    "cancel": {"on_lost": "cancel"},
    "grace": {"on_lost": "cancel", "grace": 0.5},
    "hang": {"on_lost": "cancel", "heartbeat": 0.5},
}

eng = Engine()
session = eng.make_session(ADDRESS, 1, name="leaves", trading=True, **DECLARED[POLICY])
sub = session.subscribe("dogeusdt", "bbo")
orders = [SmartOrder(sub) for _ in range(3)]
for order, price in zip(orders, (0.15, 0.151), strict=False):
    order.send(price, 70, Side.BUY, OrderType.LIMIT, Tif.GTC)


def hang() -> None:
    """Sleeps until it is woken, and sends an order then."""
    print("hangs", flush=True)
    time.sleep(3)
    while not Path("wake").exists():
        time.sleep(0.1)
    orders[2].send(0.152, 70, Side.BUY, OrderType.LIMIT, Tif.GTC)


def look() -> None:
    """Sends that order again once it was refused."""
    last = orders[2]
    if last.state is not None and not last.is_active:
        print(last.reason, flush=True)
        last.send(0.152, 70, Side.BUY, OrderType.LIMIT, Tif.GTC)
    elif last.is_active and str(last.state).endswith("NEW"):
        print("taken again", flush=True)


if POLICY == "hang":
    eng.after(1, hang)
    eng.every(0.2, look)
eng.run()
