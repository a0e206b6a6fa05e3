"""Buys a perpetual and leaves by a trailing stop that the exchange watches.

    python examples/trailing_stop.py [ADDRESS [SESSION [SYMBOL [NOTIONAL [RATE]]]]]

The stop follows the price up and sells once it has turned back by RATE per cent from its best. It lives at
the exchange: it works while this program, or the gateway, is away. Started again, the strategy finds its
position and its stop; a position without one gets one at once. After the exit it buys again.
"""

import sys

from pyalgo import (
    Depth,
    DepthSubscription,
    Engine,
    Order,
    OrderState,
    OrderType,
    Side,
    SmartOrder,
    info,
)


class TrailingExit:
    """An entry and an exit, one after the other."""

    def __init__(self, sub: DepthSubscription, notional: float, rate: float) -> None:
        self.sub, self.notional, self.rate = sub, notional, rate
        # What is open from an earlier run can only be a stop: an entry at the market ends at once.
        self.exit = SmartOrder(sub)
        self.entry = SmartOrder(sub, adopt=False)
        sub.on_data = self.on_depth
        sub.on_order = self.on_order

    def on_depth(self, _: Depth) -> None:
        """Called with every change of the best prices."""
        if self.sub.is_stale or self.sub.session.state != "ready":
            return
        if self.entry.is_active or self.exit.is_active:
            return
        if self.sub.net > 0:
            self.exit.send(
                None, self.sub.net, Side.SELL, OrderType.TRAILING_STOP, callback_rate=self.rate,
                reduce_only=True,
            )  # fmt: skip
        else:
            quantity = self.sub.floor_to_lot_size(self.notional / self.sub.ask_prc(0))
            self.entry.send(None, quantity, Side.BUY, OrderType.MARKET)

    def on_order(self, order: Order) -> None:
        """Tells the round: bought, waiting, sold."""
        if order.state == OrderState.FILLED:
            what = f"{order.symbol} {order.side} {order.quantity:g} @ {order.avg_price:g}"
            info("%s, profit so far %g %s", what, self.sub.realised, self.sub.quote)
        elif order.state == OrderState.NEW and order.order_type == OrderType.TRAILING_STOP:
            info("%s stop follows at %g %%", order.symbol, order.callback_rate)
        elif order.reason:
            info("%s %s: %s", order.symbol, order.state, order.reason)


def main(
    address: str = "ws://localhost:8112", session: str = "9", symbol: str = "solusdt", notional: str = "100",
    rate: str = "0.1",
) -> None:  # fmt: skip
    """Trades until it is stopped; position and stop stay."""
    with Engine() as eng:
        seat = eng.make_session(addr=address, session_id=int(session), name="trailing", trading=True)
        TrailingExit(seat.subscribe(symbol, "bbo"), float(notional), float(rate))
        eng.run()


if __name__ == "__main__":
    import logging

    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    main(*sys.argv[1:])
