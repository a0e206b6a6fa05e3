"""A hedged pair: the coin bought on spot, its perpetual sold, across two gateways in one strategy.

    python examples/hedge.py [SPOT_ADDRESS [USDT_ADDRESS [SESSION [SYMBOL [NOTIONAL]]]]]

While the perpetual is dearer than the coin by more than ENTRY, the strategy holds about NOTIONAL of the coin
and as much of the perpetual short: whatever the price does, one leg earns what the other loses, and the
premium (paid out as funding) remains. Within EXIT it holds nothing. The short always follows what the spot
leg really holds, so a partial fill, a restart of the strategy or of either gateway leaves no open end for
long; while one gateway is away nothing new is begun.
"""

import math
import sys

from pyalgo import Depth, DepthSubscription, Engine, Order, OrderType, Side, SmartOrder, Tif, info

ENTRY, EXIT = 0.0002, -0.0002


class Leg:
    """One market: its book, and one order at a time that brings its position to a target."""

    def __init__(self, sub: DepthSubscription) -> None:
        self.sub = sub
        self.order = SmartOrder(sub)
        sub.on_order = self.on_order

    @property
    def ready(self) -> bool:
        """Is there a book to look at and a gateway to trade through?"""
        return self.sub.bid_level > 0 and not self.sub.is_stale and self.sub.session.state == "ready"

    def bring_to(self, target: float) -> None:
        """Takes what is missing at the best opposite price; what does not fill at once expires."""
        missing = self.sub.floor_to_lot_size(abs(target - self.sub.net))
        side = Side.BUY if target > self.sub.net else Side.SELL
        price = self.sub.ask_prc(0) if side == Side.BUY else self.sub.bid_prc(0)
        if self.order.is_active or not self.ready or missing * price < self.sub.min_notional:
            return
        # On the way to nothing an order must never do more than close what this session holds.
        closing = target == 0
        self.order.send(price, missing, side, OrderType.LIMIT, Tif.IOC, reduce_only=closing)

    def on_order(self, order: Order) -> None:
        """Says what was traded, or why nothing was."""
        where = f"{self.sub.kind.lower()} {order.symbol}"
        if order.trade_quantity:
            info(
                "%s %s %g @ %g, holds %g",
                where,
                order.side,
                order.trade_quantity,
                order.trade_price,
                self.sub.net,
            )
        elif order.reason:
            info("%s %s: %s", where, order.state, order.reason)


class Hedge:
    """Watches the premium of the perpetual and tells each leg what to hold."""

    def __init__(self, spot: Leg, perpetual: Leg, notional: float) -> None:
        self.spot, self.perpetual, self.notional = spot, perpetual, notional
        # A strategy that is started again goes on with what it has.
        self.holding = spot.sub.net > 0
        spot.sub.on_data = perpetual.sub.on_data = self.on_depth

    @property
    def premium(self) -> float:
        """By how much the perpetual can be sold dearer than the coin can be bought; nan without a book."""
        return self.perpetual.sub.bid_prc(0) / self.spot.sub.ask_prc(0) - 1

    def on_depth(self, _: Depth) -> None:
        """Called for both markets."""
        if self.spot.ready and self.perpetual.ready and not math.isnan(self.premium):
            if self.premium > ENTRY:
                self.holding = True
            elif self.premium < EXIT:
                self.holding = False
            self.spot.bring_to(self.notional / self.spot.sub.ask_prc(0) if self.holding else 0)
        # What a fee in the coin took cannot be hedged: less than a lot stays open.
        self.perpetual.bring_to(-self.perpetual.sub.floor_to_lot_size(max(self.spot.sub.net, 0)))


def main(
    spot: str = "ws://localhost:8111", usdt: str = "ws://localhost:8112", session: str = "7",
    symbol: str = "ethusdt", notional: str = "200",
) -> None:  # fmt: skip
    """Trades until it is stopped."""
    with Engine() as eng:
        here, there = (
            eng.make_session(addr=addr, session_id=int(session), name="hedge", trading=True)
            for addr in (spot, usdt)
        )
        Hedge(Leg(here.subscribe(symbol, "bbo")), Leg(there.subscribe(symbol, "bbo")), float(notional))
        eng.run()


if __name__ == "__main__":
    import logging

    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    main(*sys.argv[1:])
