"""Two strategies share one symbol of one account, and each knows exactly what it owns.

    python examples/two_strategies.py [ADDRESS [SESSION [SYMBOL]]]

Every strategy has a session of its own (here SESSION and SESSION + 1), so orders, fills and positions are
kept apart although the exchange sees one account: one side builds a long position, the other a short one,
and their sum is what the account has changed by. They run in one process with one engine here; two
processes would do the same.
"""

import sys

from pyalgo import Depth, Engine, Order, OrderType, Session, Side, SmartOrder, Tif, info

STEP = 5.0  # of the quote asset per order
MOST = 50.0  # of the quote asset per position


class Accumulator:
    """Trades one way in small steps until the position is large enough."""

    def __init__(self, session: Session, symbol: str, side: Side) -> None:
        self.session, self.side = session, side
        self.sub = session.subscribe(symbol, "bbo")
        self.order = SmartOrder(self.sub)
        self.sub.on_order = self.on_order

    def step(self) -> None:
        """Takes the best opposite price once, if there is room for it."""
        price = self.sub.ask_prc(0) if self.side == Side.BUY else self.sub.bid_prc(0)
        if not price > 0 or abs(self.sub.net) * price + STEP > MOST:
            return
        # A step may be below what the exchange takes; then it is made as large as it must be.
        quantity = self.sub.floor_to_lot_size(max(STEP, 1.1 * self.sub.min_notional) / price)
        self.order.send(price, quantity, self.side, OrderType.LIMIT, Tif.IOC)

    def on_order(self, order: Order) -> None:
        """Says what this strategy, and no other, has done."""
        if order.trade_quantity:
            info("%s: %s %g @ %g, net %g, average %g", self.session.name, order.side, order.trade_quantity,
                 order.trade_price, self.sub.net, self.sub.avg_price)  # fmt: skip


def main(address: str = "ws://localhost:8111", session: str = "6", symbol: str = "dogeusdt") -> None:
    """Trades until it is stopped, then shows both positions and their sum."""
    eng = Engine()
    sides = {"bull": Side.BUY, "bear": Side.SELL}
    team = [
        Accumulator(
            eng.make_session(addr=address, session_id=number, name=name, trading=True), symbol, side
        )
        for number, (name, side) in enumerate(sides.items(), int(session))
    ]  # fmt: skip
    for strategy in team:
        eng.every(0.2, strategy.step)
    watch = team[0].session.subscribe(symbol, "depth")
    total: list[float] = []

    def show(_: Depth) -> None:
        total[:] = [strategy.sub.net for strategy in team]

    watch.on_data = show
    eng.run()
    print(f"positions {total}, together {sum(total):g}")


if __name__ == "__main__":
    import logging

    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    main(*sys.argv[1:])
