"""A strategy that does what it should not. Arguments: address, session, what, file for what came of it.

`flood` sends 10,000 orders in a loop; `nonsense` asks for what is no number and for far too much; `hang`
never comes back from a callback, `crash` dies in one, each as soon as an order of its own is open.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from pyalgo import Engine, Error, Order, OrderState, OrderType, Side, SmartOrder, Tif

FLOOD = 10_000
NOT_A_NUMBER = float("nan")
# Price and quantity: what is no number, what is none of both signs, and what nobody has.
NONSENSE = [
    (NOT_A_NUMBER, 100), (0.2, NOT_A_NUMBER), (float("inf"), 100), (0.2, float("inf")), (-0.2, 100),
    (0.2, -100), (0.2, 0), (0, 100), (0.2, 1e12), (0.2, 10**30), (1e12, 100), (1e300, 1e300),
    (5e-324, 100), (0.2, 5e-324),
]  # fmt: skip


class Reckless:
    """One such strategy."""

    def __init__(self, addr: str, session_id: int, what: str, out: Path) -> None:
        self.file = out.open("a", encoding="utf-8")
        self.what = what
        self.heard: Counter[str] = Counter()
        self.begun = False
        self.eng = Engine(0.001)
        self.session = self.eng.make_session(addr=addr, session_id=session_id, name=what, trading=True)
        self.session.on_order = self.on_order
        self.sub = self.session.subscribe("dogeusdt", "bbo")
        self.sub.on_data = self.on_data
        self.order = SmartOrder(self.sub, adopt=False)
        self.write("begun")

    def write(self, *words: object) -> None:
        """A line of what came of it."""
        print(json.dumps(words), file=self.file, flush=True)

    def on_data(self, _: object) -> None:
        """Begins once it may trade."""
        if self.begun or self.session.state != "ready" or not self.sub.bid_level:
            return
        self.begun = True
        if self.what in ("hang", "crash"):
            # What others have used up is there again in the exchange's next window.
            self.eng.every(0.2, self.until_one_rests)
            return
        if self.what == "flood":
            answers = Counter(self.asked(self.sub.bid_prc(0) * 0.9, 100) for _ in range(FLOOD))
            self.write("flooded", dict(answers))
        else:
            self.write("asked", [[str(price), str(qty), self.asked(price, qty)] for price, qty in NONSENSE])
        self.eng.every(0.2, lambda: self.write("heard", dict(self.heard)))

    def asked(self, price: float, quantity: float) -> str:
        """Sends an order of its own; what that came to."""
        order = SmartOrder(self.sub, adopt=False)
        try:
            sent = order.send(price, quantity, Side.BUY, OrderType.LIMIT, Tif.GTC)
        except Error as error:
            return error.name
        return "sent" if sent else f"held {order.code}"

    def until_one_rests(self) -> None:
        """Sends the one order again if it was refused."""
        if not self.order.is_active and self.sub.bid_level:
            self.order.send(self.sub.bid_prc(0) * 0.9, 100, Side.BUY, OrderType.LIMIT, Tif.GTC)

    def on_order(self, order: Order) -> None:
        """Counts what it is told, or hangs or dies of it."""
        self.heard[f"{order.state} {order.code}"] += 1
        if order.state != OrderState.NEW:
            return
        if self.what == "hang":
            self.write("hangs", order.order_id)
            time.sleep(100_000)
        if self.what == "crash":
            self.write("dies", order.order_id)
            os.abort()


if __name__ == "__main__":
    Reckless(sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])).eng.run()
