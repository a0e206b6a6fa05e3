"""Keeps a position in a perpetual, and steps aside where funding would cost too much.

    python examples/funding.py [ADDRESS [SESSION [SYMBOL [NOTIONAL [LIMIT [LEAD]]]]]]

Every few hours the holders of one side of a perpetual pay the other: at a positive rate the longs pay. The
keeper wants to be long by NOTIONAL (short if that is negative). Within LEAD seconds of a funding time at
which it would pay more than LIMIT it holds nothing, and comes back once the time has passed. What it was
paid or had to pay shows in its own row of the balances.
"""

import sys

from pyalgo import Engine, Mark, MarkSubscription, Order, OrderType, Session, Side, SmartOrder, info


class Keeper:
    """One position, one order at a time, one eye on the next funding."""

    def __init__(
        self, session: Session, sub: MarkSubscription, notional: float, limit: float, lead: float
    ) -> None:
        self.session, self.sub, self.notional, self.limit, self.lead = session, sub, notional, limit, lead
        self.order = SmartOrder(sub)
        self.aside = False
        self.next_funding = 0
        sub.on_data = self.on_mark
        sub.on_order = self.on_order

    def on_mark(self, mark: Mark) -> None:
        """Called with every mark price, about once a second."""
        if self.next_funding and mark.next_funding > self.next_funding:
            quote = self.session.balances()[self.sub.quote]
            info("%s funding over: this session has %s %s", mark.symbol, quote.session, quote.asset)
        self.next_funding = mark.next_funding
        left = (mark.next_funding - mark.time) / 1e9
        costs = mark.funding_rate if self.notional > 0 else -mark.funding_rate
        aside = costs > self.limit and left < self.lead
        if aside != self.aside:
            self.aside = aside
            info("%s: %s, funding of %g in %.0f s", mark.symbol, "aside" if aside else "back", costs, left)
        self.bring_to(0 if aside else self.notional / mark.mark_price, mark.mark_price)

    def bring_to(self, target: float, price: float) -> None:
        """Takes what is missing at the market."""
        missing = self.sub.floor_to_lot_size(abs(target - self.sub.net))
        if self.order.is_active or self.session.state != "ready":
            return
        if target == 0 and missing > 0:
            # However little it is: what only reduces may be smaller than the least order.
            side = Side.SELL if self.sub.net > 0 else Side.BUY
            self.order.send(None, missing, side, OrderType.MARKET, reduce_only=True)
        elif missing * price >= self.sub.min_notional:
            side = Side.BUY if target > self.sub.net else Side.SELL
            self.order.send(None, missing, side, OrderType.MARKET)

    def on_order(self, order: Order) -> None:
        """Says what was traded, or why nothing was."""
        if order.trade_quantity:
            info("%s %s %g @ %g", order.symbol, order.side, order.trade_quantity, order.trade_price)
        elif order.reason:
            info("%s %s: %s", order.symbol, order.state, order.reason)


def main(
    address: str = "ws://localhost:8112", session: str = "8", symbol: str = "btcusdt", notional: str = "500",
    limit: str = "0.0001", lead: str = "30",
) -> None:  # fmt: skip
    """Keeps the position until it is stopped; the position stays."""
    with Engine() as eng:
        seat = eng.make_session(addr=address, session_id=int(session), name="funding", trading=True)
        Keeper(seat, seat.subscribe(symbol, "mark"), float(notional), float(limit), float(lead))
        eng.run()


if __name__ == "__main__":
    import logging

    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    main(*sys.argv[1:])
