"""Sells DOGE step by step, then buys it back: in the maker's symbol, with a position of its own."""

import sys

from pyalgo import *

QTY = 250
STEPS = 8


class Seller:
    """Short by a step a second until it is deep enough, then flat again by the same steps."""

    def __init__(self, sub: DepthSubscription) -> None:
        self.sub = sub
        self.order = SmartOrder(sub)
        self.side = Side.SELL
        sub.on_order = self.on_order

    def on_order(self, order: Order) -> None:
        if order.trade_quantity:
            print(
                f"{order.side} {order.trade_quantity} at {order.trade_price}, net {self.sub.net}", flush=True
            )

    def step(self) -> None:
        if min(self.sub.bid_level, self.sub.ask_level) < 3:
            return  # no book yet
        if self.order.is_active:
            self.order.kill()
            return
        if self.sub.net <= -QTY * STEPS:
            self.side = Side.BUY
        elif self.sub.net >= -QTY:
            self.side = Side.SELL
        price = self.sub.bid_prc(2) if self.side == Side.SELL else self.sub.ask_prc(2)
        self.order.send(price, QTY, self.side, OrderType.LIMIT, Tif.IOC)


if __name__ == "__main__":
    eng = Engine(0.01)
    session = eng.make_session(addr=sys.argv[1], session_id=int(sys.argv[2]), name="seller", trading=True)
    seller = Seller(session.subscribe("dogeusdt", "depth"))
    eng.every(1.0, seller.step)
    eng.run()
