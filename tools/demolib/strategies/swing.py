"""Long or short of the BTC perpetual by where its price stands to the mean of the last ten looks."""

import sys
from collections import deque

from pyalgo import *

QTY = 0.01
LOOKS = 10


class Swing:
    """Market orders, one at a time: from long to short and back."""

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
        target = QTY if middle > sum(self.seen) / LOOKS else -QTY
        missing = self.sub.floor_to_lot_size(abs(target - self.sub.net))
        if missing > 0:
            side = Side.BUY if target > self.sub.net else Side.SELL
            self.order.send(None, missing, side, OrderType.MARKET)


if __name__ == "__main__":
    eng = Engine(0.01)
    session = eng.make_session(addr=sys.argv[1], session_id=int(sys.argv[2]), name="swing", trading=True)
    swing = Swing(session.subscribe("btcusdt", "bbo"))
    eng.every(0.3, swing.look)
    eng.run()
