"""Quotes DOGE on both sides of the book, inside the touch where there is room, within a largest position."""

import sys

from pyalgo import *

QTY = 400
POSITION_MAX = 2_000


class Maker:
    """One resting order a side. A restarted maker takes its orders over as they are."""

    def __init__(self, sub: DepthSubscription) -> None:
        self.sub = sub
        held = [SmartOrder(sub), SmartOrder(sub)]
        held.sort(key=lambda order: order.side == Side.SELL)
        self.bid, self.ask = held
        sub.on_data = self.on_depth
        sub.on_order = self.on_order

    def on_order(self, order: Order) -> None:
        if order.trade_quantity:
            print(
                f"{order.side} {order.trade_quantity} at {order.trade_price}, net {self.sub.net}", flush=True
            )

    def on_depth(self, depth: Depth) -> None:
        if not self.sub.bid_level or not self.sub.ask_level:
            return
        bid, ask = self.sub.bid_prc(0), self.sub.ask_prc(0)
        if self.sub.tick_up(bid) < ask:
            bid = self.sub.tick_up(bid)
        self.quote(self.bid, Side.BUY, bid, self.sub.net < POSITION_MAX)
        self.quote(self.ask, Side.SELL, ask, self.sub.net > -POSITION_MAX)

    def quote(self, order: SmartOrder, side: Side, price: float, wanted: bool) -> None:
        if order.is_active:
            if not wanted or order.price != price:
                order.kill()
        elif wanted:
            order.send(price, QTY, side, OrderType.LIMIT_MAKER)


if __name__ == "__main__":
    eng = Engine(0.01)
    session = eng.make_session(addr=sys.argv[1], session_id=int(sys.argv[2]), name="maker", trading=True)
    maker = Maker(session.subscribe("dogeusdt", "depth:100ms"))
    eng.run()
