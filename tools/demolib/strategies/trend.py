"""Follows a symbol's price: one position above the mean of its last ten looks, another below it."""

import sys
from collections import deque

from pyalgo import *

LOOKS = 10
# Symbol, and what is held above and below the mean: a coin or nothing, a perpetual long or short.
WISHES = {"momentum": ("ethusdt", 0.25, 0.0), "swing": ("btcusdt", 0.01, -0.01)}


class Trend:
    """Market orders, one at a time, towards what is wished for."""

    def __init__(self, sub: DepthSubscription, above: float, below: float) -> None:
        self.sub = sub
        self.above, self.below = above, below
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
        target = self.above if middle > sum(self.seen) / LOOKS else self.below
        missing = self.sub.floor_to_lot_size(abs(target - self.sub.net))
        # What a fee has taken from a coin is too little to buy again.
        if missing * middle > self.sub.min_notional:
            side = Side.BUY if target > self.sub.net else Side.SELL
            self.order.send(None, missing, side, OrderType.MARKET)


if __name__ == "__main__":
    name = sys.argv[3]
    symbol, above, below = WISHES[name]
    eng = Engine(0.01)
    session = eng.make_session(addr=sys.argv[1], session_id=int(sys.argv[2]), name=name, trading=True)
    trend = Trend(session.subscribe(symbol, "bbo"), above, below)
    eng.every(0.3, trend.look)
    eng.run()
