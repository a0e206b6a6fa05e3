"""Books its fills in a database of its own: each exactly once, whenever it is killed.

    python examples/exactly_once.py [ADDRESS [SESSION [SYMBOL [FILE [PERIOD]]]]]

What a callback makes of an event and the event's cursor are written in one transaction into FILE (default
exactly_once.db). After a crash the database holds both or neither, and the next login goes on right after
the cursor in it: nothing is booked twice, nothing is left out. The cursor only ever moves forward: what a
second copy of this program, started with take_over, has booked already moves it no more, and is passed over.

Once in a second the cursor is written for what needed no booking, and then the gateway is told that very
cursor: with `autocommit=False` it keeps everything after it, however long this program is away.

It trades by turns, every PERIOD seconds: buys a little at the best ask, sells it at the best bid, draws back
what did not fill. Ctrl-C ends it.
"""

import sqlite3
import sys

from pyalgo import Engine, Notice, Order, OrderType, Side, SmartOrder, info, warn

Cursor = tuple[int, int]


class Ledger:
    """The strategy's own books."""

    def __init__(self, path: str) -> None:
        self.db = sqlite3.connect(path)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.executescript("""
            CREATE TABLE IF NOT EXISTS event(generation, sequence, order_id, state);
            CREATE TABLE IF NOT EXISTS fill(trade_id, side, quantity, price, UNIQUE(trade_id, side));
            CREATE TABLE IF NOT EXISTS cursor(one INTEGER PRIMARY KEY CHECK (one = 1), generation, sequence);
        """)

    def cursor(self) -> Cursor | None:
        """Up to where events are in the books."""
        row: Cursor | None = self.db.execute("SELECT generation, sequence FROM cursor").fetchone()
        return row

    def book(self, order: Order, cursor: Cursor) -> None:
        """The event, its fill and its place, in one transaction."""
        with self.db:
            if not self.move(cursor):
                return
            self.db.execute("INSERT INTO event VALUES(?, ?, ?, ?)", (*cursor, order.order_id, order.state))
            if order.trade_id is not None:
                fill = (order.trade_id, order.side, order.trade_quantity, order.trade_price)
                # After a loss of power events are numbered anew, and a fill may be told once more.
                self.db.execute("INSERT OR IGNORE INTO fill VALUES(?, ?, ?, ?)", fill)

    def skip(self, cursor: Cursor) -> None:
        """Events go on from there: what lies before will not come."""
        with self.db:
            self.db.execute("INSERT OR REPLACE INTO cursor VALUES(1, ?, ?)", cursor)

    def reach(self, cursor: Cursor) -> None:
        """All events up to there are handled; of the last ones there was nothing to book."""
        with self.db:
            self.move(cursor)

    def move(self, cursor: Cursor) -> bool:
        """Forward, never back. False: the books are there already."""
        moved = self.db.execute(
            """INSERT INTO cursor VALUES(1, ?, ?) ON CONFLICT(one) DO UPDATE
            SET generation = excluded.generation, sequence = excluded.sequence
            WHERE (excluded.generation, excluded.sequence) > (cursor.generation, cursor.sequence)""",
            cursor,
        )
        return moved.rowcount == 1


def main(
    address: str = "ws://localhost:8111", session_id: str = "9", symbol: str = "dogeusdt",
    file: str = "exactly_once.db", period: str = "2",
) -> None:  # fmt: skip
    """Trades and keeps books until it is stopped."""
    ledger = Ledger(file)
    eng = Engine()
    session = eng.make_session(
        address, int(session_id), "exactly once", trading=True, cursor=ledger.cursor(), autocommit=False
    )
    sub = session.subscribe(symbol, "bbo")
    order = SmartOrder(sub)

    def on_order(change: Order) -> None:
        # Without a cursor it is this side's own word on an order under way: the gateway's follows.
        if change.cursor is not None:
            ledger.book(change, change.cursor)
        if change.trade_quantity:
            info("%s %g @ %g", change.side, change.trade_quantity, change.trade_price)

    def on_notice(notice: Notice) -> None:
        if notice.code == "snapshot" and session.cursor is not None:
            ledger.skip(session.cursor)
            warn("fills may be missing here; the gateway's journal has them: %s", notice.message)

    def commit() -> None:
        # First into the own books, then to the gateway: what it was told is never missing here.
        here = session.cursor
        if here is not None:
            ledger.reach(here)
            session.commit(here)

    def trade() -> None:
        if session.state != "ready" or not sub.bid_level or not sub.ask_level:
            return
        if order.is_active:
            order.kill()
            return
        side, price = (Side.BUY, sub.ask_prc(0)) if sub.net <= 0 else (Side.SELL, sub.bid_prc(0))
        least = 2 * max(sub.min_notional, 1) / price
        order.send(price, least if side == Side.BUY else max(sub.net, least), side, OrderType.LIMIT)

    session.on_order, session.on_notice = on_order, on_notice
    eng.every(float(period), trade)
    eng.every(1, commit)
    with session:
        eng.run()


if __name__ == "__main__":
    import logging

    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    main(*sys.argv[1:])
