"""A market maker: a bid and an ask around the middle of the book, each for a third of what the account has
free.

    python examples/market_maker.py [ADDRESS [SESSION [SYMBOL [FILE]]]]

Ctrl-C ends it, not its orders: they stay at the exchange and may fill, because the next start takes them up
again. Whoever wants none left calls `session.cancel_all()` in a session of the same number.

The arithmetic is that of the Cryptology tutorial: bid = price * (100 - SPREAD/2) / 100, its amount a third
of the free quote asset divided by the bid; the ask likewise with the base asset; everything rounded to
eight places. All of it is done in `Decimal`. When one side closes, it is placed again.

It resumes without loss. Every fill is written to FILE (default market_maker.fills) before the callback
returns, together with the number of its event; only then does the SDK acknowledge it. At the next start the
last number in the file is handed to the gateway, which sends everything after it, however it came to be
missed: as long as the gateway's journal is whole, a fill is in the file once, never zero times, never twice.
What a loss of the journal or of power takes besides is in `exactly_once.py`. The orders that are still open
are adopted, not placed a second time.
"""

import os
import sys
from decimal import Decimal
from pathlib import Path

from pyalgo import Depth, DepthSubscription, Engine, Order, OrderType, Session, Side, SmartOrder, info, warn

SPREAD = Decimal(1) / 5  # percent between bid and ask
SHARE = 3  # of what is free, one part in so many
PLACES = Decimal("1e-8")


def round_decimal(number: Decimal) -> Decimal:
    """To eight places, as the tutorial has it."""
    return number.quantize(PLACES).normalize()


class Fills:
    """A file of fills that is only appended to: generation, sequence, trade, side, quantity, price."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cursor: tuple[int, int] | None = None
        # A line that a crash cut short has no end: its event was not acknowledged and comes again. It is cut
        # off where it stands: a file written anew is empty for a moment, and the next crash may fall into it.
        whole, _, torn = (path.read_text() if path.exists() else "").rpartition("\n")
        if torn:
            os.truncate(path, path.stat().st_size - len(torn.encode()))
        if whole:
            generation, sequence, *_ = whole.rsplit("\n", 1)[-1].split()
            self.cursor = int(generation), int(sequence)

    def add(self, order: Order) -> None:
        """Writes one fill, unless the file has it already."""
        if order.cursor is None or not order.trade_quantity:
            return
        if self.cursor is not None and self.cursor[0] == order.cursor[0] and order.cursor <= self.cursor:
            return
        fill = (*order.cursor, order.trade_id, order.side, order.trade_quantity, order.trade_price)
        with self.path.open("a") as file:
            file.write(" ".join(map(str, fill)) + "\n")
        self.cursor = order.cursor


class MarketMaker:
    """Keeps one bid and one ask at work."""

    def __init__(self, session: Session, sub: DepthSubscription, fills: Fills) -> None:
        self.session, self.sub, self.fills = session, sub, fills
        first, second = SmartOrder(sub), SmartOrder(sub)
        if first.side == Side.SELL or second.side == Side.BUY:
            first, second = second, first
        self.bid, self.ask = first, second
        self.sub.on_data = self.on_depth
        self.sub.on_order = self.on_order

    def on_depth(self, depth: Depth) -> None:
        """Places what is missing; draws both back when the market has left them behind."""
        if not depth.bid_level or not depth.ask_level or self.session.state != "ready":
            return
        middle = (Decimal(str(depth.bid_prc(0))) + Decimal(str(depth.ask_prc(0)))) / 2
        for order in (self.bid, self.ask):
            if order.is_active and abs(Decimal(str(order.price)) / middle - 1) * 100 > SPREAD:
                order.kill()
        if not self.bid.is_active or not self.ask.is_active:
            balances = self.session.balances()
            if not self.bid.is_active:
                self.create_bid(middle, balances[self.sub.quote].free)
            if not self.ask.is_active:
                self.create_ask(middle, balances[self.sub.base].free)

    def create_bid(self, coin_price: Decimal, available: Decimal) -> None:
        """Buys with a third of the quote asset."""
        price = round_decimal(coin_price * (100 - SPREAD / 2) / 100)
        amount = round_decimal(available / price / SHARE)
        if amount * price >= Decimal(str(self.sub.min_notional)):
            self.bid.send(price, amount, Side.BUY, OrderType.LIMIT)

    def create_ask(self, coin_price: Decimal, available: Decimal) -> None:
        """Sells a third of the base asset."""
        price = round_decimal(coin_price * (100 + SPREAD / 2) / 100)
        amount = round_decimal(available / SHARE)
        if amount * price >= Decimal(str(self.sub.min_notional)):
            self.ask.send(price, amount, Side.SELL, OrderType.LIMIT)

    def on_order(self, order: Order) -> None:
        """Keeps the book of fills. A side that closed is placed again with the next depth."""
        self.fills.add(order)
        if order.trade_quantity:
            again = " (missed while away)" if order.replayed else ""
            info("%s %g @ %g%s", order.side, order.trade_quantity, order.trade_price, again)
        elif order.reason:
            warn("%s %s: %s", order.side, order.state, order.reason)


def main(
    address: str = "ws://localhost:8111", session: str = "4", symbol: str = "dogeusdt",
    file: str = "market_maker.fills",
) -> None:  # fmt: skip
    """Makes a market until it is stopped. Its orders stay; the next start adopts them."""
    eng = Engine()
    fills = Fills(Path(file))
    with eng.make_session(
        addr=address, session_id=int(session), name="market maker", trading=True, cursor=fills.cursor
    ) as seat:
        MarketMaker(seat, seat.subscribe(symbol, "bbo"), fills)
        eng.run()
    warn("ended; its open orders stay at the exchange until the next start adopts them")


if __name__ == "__main__":
    import logging

    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    main(*sys.argv[1:])
