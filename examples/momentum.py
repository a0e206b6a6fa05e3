"""Ten-period momentum, the strategy of the Tmatic manual.

    python examples/momentum.py [ADDRESS [SESSION [SYMBOL [INTERVAL [NOTIONAL]]]]]

If the price is higher than ten periods ago, buy; if it is not, sell. The order rests away from the best
price by a third of the range (high less low) of the last bar, and moves when the price it should have
moves. The position goes from -quantity to +quantity; on spot the account must own what is sold. "A simple
example that does not claim to be profitable."
"""

import sys
from collections import deque

from pyalgo import (
    Bar,
    BarSubscription,
    DepthSubscription,
    Engine,
    Order,
    OrderType,
    Session,
    Side,
    SmartOrder,
    info,
)

PERIOD = 10


class Momentum:
    """One order at a time, on the side the last ten bars point to."""

    def __init__(
        self, session: Session, bars: BarSubscription, best: DepthSubscription, notional: float
    ) -> None:
        self.session, self.best, self.notional = session, best, notional
        self.order = SmartOrder(best)
        past = session.history(best.symbol, bars.interval, PERIOD + 2)
        self.bars = deque((bar for bar in past if bar.is_closed), maxlen=PERIOD + 1)
        bars.on_data = self.on_bar
        best.on_order = self.on_order

    def on_bar(self, bar: Bar) -> None:
        """Every change of the open bar moves nothing; a closed one decides."""
        if bar.is_closed and (not self.bars or bar.start_time > self.bars[-1].start_time):
            self.bars.append(bar)
            self.decide()

    def decide(self) -> None:
        """Where the order should be, and what must happen to get it there."""
        if len(self.bars) <= PERIOD or not self.best.bid_level or self.session.state != "ready":
            return
        last, ago = self.bars[-1], self.bars[0]
        indent = (last.high - last.low) / 3
        quantity = self.notional / last.close
        if last.close > ago.close:
            self.want(Side.BUY, self.best.bid_prc(0) - indent, quantity - self.best.net)
        else:
            self.want(Side.SELL, self.best.ask_prc(0) + indent, quantity + self.best.net)

    def want(self, side: Side, price: float, quantity: float) -> None:
        """One order like this should rest; another one is drawn back first and replaced at the next bar."""
        price, quantity = self.best.round_price(price, side), self.best.floor_to_lot_size(max(quantity, 0))
        if self.order.is_active:
            left = self.order.quantity - self.order.acc
            if (self.order.side, self.order.price, left) != (side, price, quantity):
                self.order.kill()
        elif price * quantity >= self.best.min_notional:
            self.order.send(price, quantity, side, OrderType.LIMIT)

    def on_order(self, order: Order) -> None:
        """A cancelled order makes room for the one that is wanted now."""
        what = f"{order.symbol} {order.side} {order.quantity:g} @ {order.price:g}"
        info("%s: %s, position %g", what, order.state, self.best.net)
        if order.state == "CANCELED":
            self.decide()


def main(
    address: str = "ws://localhost:8111", session: str = "5", symbol: str = "btcusdt", interval: str = "1m",
    notional: str = "100",
) -> None:  # fmt: skip
    """Trades until it is stopped."""
    eng = Engine()
    with eng.make_session(addr=address, session_id=int(session), name="momentum", trading=True) as seat:
        best = seat.subscribe(symbol, "bbo")
        bars = seat.subscribe(symbol, f"kline:{interval}")
        assert isinstance(bars, BarSubscription)
        Momentum(seat, bars, best, float(notional))
        eng.run()


if __name__ == "__main__":
    import logging

    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    main(*sys.argv[1:])
