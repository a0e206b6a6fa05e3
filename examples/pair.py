"""Two symbols in one strategy: when one has run ahead of the other, sell the leader and buy the laggard.

    python examples/pair.py [ADDRESS [SESSION [LEFT RIGHT]]]

The logarithm of the price ratio is compared with its own slow average. Beyond ENTRY the strategy holds one
unit of the pair (about UNIT of the quote asset on each side) against the deviation; back within EXIT it
holds nothing. What it holds is read from the session (`sub.net`), so a restart goes on from where it was.
On spot the account must own what is sold.
"""

import math
import sys

from pyalgo import Depth, DepthSubscription, Engine, Order, OrderType, Side, SmartOrder, Tif, info

UNIT = 50.0  # of the quote asset, on each side
ENTRY, EXIT = 0.0005, 0.0001
MEMORY = 200  # updates the slow average remembers


class Leg:
    """One symbol: its book, and one order at a time that brings its position to a target."""

    def __init__(self, sub: DepthSubscription) -> None:
        self.sub = sub
        self.order = SmartOrder(sub)
        self.sub.on_order = self.on_order

    @property
    def mid(self) -> float:
        """Middle of the best prices; nan while there is no book."""
        return (self.sub.bid_prc(0) + self.sub.ask_prc(0)) / 2

    def bring_to(self, target: float) -> None:
        """Takes what is missing at the best opposite price; what does not fill at once expires."""
        missing = self.sub.floor_to_lot_size(abs(target - self.sub.net))
        if self.order.is_active or missing * self.mid < self.sub.min_notional:
            return
        side = Side.BUY if target > self.sub.net else Side.SELL
        price = self.sub.ask_prc(0) if side == Side.BUY else self.sub.bid_prc(0)
        self.order.send(price, missing, side, OrderType.LIMIT, Tif.IOC)

    def on_order(self, order: Order) -> None:
        """Says what was traded, or why nothing was."""
        if order.trade_quantity:
            info("%s %s %g @ %g", order.symbol, order.side, order.trade_quantity, order.trade_price)
        elif order.reason:
            info("%s %s: %s", order.symbol, order.state, order.reason)


class Pair:
    """Watches the ratio of two symbols and tells each leg what to hold."""

    def __init__(self, left: Leg, right: Leg) -> None:
        self.left, self.right = left, right
        self.average: float | None = None
        self.holding = 0  # +1: left bought, right sold
        left.sub.on_data = right.sub.on_data = self.on_depth

    def on_depth(self, _: Depth) -> None:
        """Called for both symbols."""
        if math.isnan(self.left.mid + self.right.mid) or self.left.sub.is_stale or self.right.sub.is_stale:
            return
        ratio = math.log(self.left.mid / self.right.mid)
        self.average = ratio if self.average is None else self.average + (ratio - self.average) / MEMORY
        ahead = ratio - self.average
        if abs(ahead) > ENTRY:
            self.holding = -1 if ahead > 0 else 1
        elif abs(ahead) < EXIT:
            self.holding = 0
        self.left.bring_to(self.holding * UNIT / self.left.mid)
        self.right.bring_to(-self.holding * UNIT / self.right.mid)


def main(
    address: str = "ws://localhost:8111", session: str = "3", left: str = "ethusdt", right: str = "solusdt"
) -> None:
    """Trades until it is stopped."""
    eng = Engine()
    with eng.make_session(addr=address, session_id=int(session), name="pair", trading=True) as seat:
        Pair(Leg(seat.subscribe(left, "bbo")), Leg(seat.subscribe(right, "bbo")))
        eng.run()


if __name__ == "__main__":
    import logging

    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    main(*sys.argv[1:])
