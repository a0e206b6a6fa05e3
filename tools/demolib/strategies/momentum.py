"""Holds ETH while its price is above the mean of the last ten looks, and nothing while it is below."""

import sys
from collections import deque

from pyalgo import *

QTY = 0.25
LOOKS = 10


class Momentum:
    """Market orders, one at a time."""

    def __init__(self, sub: DepthSubscription) -> None:
        self.sub = sub
        self.order = SmartOrder(sub)
        self.seen: deque[float] = deque(maxlen=LOOKS)
        sub.on_order = self.on_order

    def on_order(self, order: Order) -> None:
        if order.trade_quantity:
            print(
                f"{order.side} {order.trade_quantity} at {order.trade_price}, net {self.sub.net}", flush=True
            )

    def look(self) -> None:
        if not self.sub.bid_level or not self.sub.ask_level:
            return  # no book yet
        middle = (self.sub.bid_prc(0) + self.sub.ask_prc(0)) / 2
        self.seen.append(middle)
        if len(self.seen) < LOOKS or self.order.is_active:
            return
        above = middle > sum(self.seen) / LOOKS
        if above and self.sub.net < QTY / 2:
            self.order.send(None, QTY, Side.BUY, OrderType.MARKET)
        elif not above and self.sub.net >= QTY / 2:
            self.order.send(None, self.sub.floor_to_lot_size(self.sub.net), Side.SELL, OrderType.MARKET)


if __name__ == "__main__":
    eng = Engine(0.01)
    session = eng.make_session(addr=sys.argv[1], session_id=int(sys.argv[2]), name="momentum", trading=True)
    momentum = Momentum(session.subscribe("ethusdt", "bbo"))
    eng.every(0.3, momentum.look)
    eng.run()
