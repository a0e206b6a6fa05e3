"""Two sessions in one process that trade without rest, through every death of their gateway.

Arguments: address, folder, seed. Each session writes into `s<number>.jsonl` of the folder: `["sent", order
id]` for each command that left, `["event", [gen, seq], order id, state, trade id]` for each numbered event
before the next, `["word", order id, state]` for what it learnt without a number. Killed and started again
they go on after the last line. Ends when the folder has a file `end` and nothing of either is open any more.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

from pyalgo import Engine, Order, OrderType, Session, Side, SmartOrder, Tif


def last_cursor(path: Path) -> tuple[int, int] | None:
    """Of the last complete line that tells of an event. A torn last line never counted: it is cut off where
    it stands, for a kill may fall into a writing anew."""
    if not path.exists():
        return None
    kept = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    os.truncate(path, sum(map(len, kept)))
    events = [word for word in map(json.loads, kept) if word[0] == "event"]
    return (events[-1][1][0], events[-1][1][1]) if events else None


class Trader:
    """One session."""

    def __init__(self, eng: Engine, addr: str, number: int, path: Path, rng: random.Random) -> None:
        cursor = last_cursor(path)
        self.file = path.open("a", encoding="utf-8")
        self.rng = rng
        self.session: Session = eng.make_session(
            addr=addr,
            session_id=number,
            name=f"tireless {number}",
            trading=True,
            take_over=True,
            cursor=cursor,
        )
        self.sub = self.session.subscribe("dogeusdt", "bbo")
        self.orders = [SmartOrder(self.sub) for _ in range(4)]
        self.session.on_order = self.on_order
        # A refused cancel of all orders is asked for again; all else shows by what is not answered.
        self.session.on_error = lambda error: print(f"session {number}: {error}")
        self.acting = eng.every(0.01, self.act)

    def write(self, *words: object) -> None:
        """A line."""
        self.file.write(json.dumps(words) + "\n")
        self.file.flush()

    def on_order(self, order: Order) -> None:
        """Told of an order."""
        if order.cursor is None:
            self.write("word", order.order_id, order.state.value)
        else:
            self.write("event", order.cursor, order.order_id, order.state.value, order.trade_id)

    def act(self) -> None:
        """Sends or cancels something."""
        if self.session.state != "ready" or self.sub.bid_level == 0:
            return
        order = self.rng.choice(self.orders)
        if order.is_active:
            order.kill()
            return
        side = self.rng.choice([Side.BUY, Side.SELL])
        # On futures five dollars are the least.
        quantity = self.rng.randint(40, 80)
        if self.rng.random() < 0.5:
            sent = order.send(0, quantity, side, OrderType.MARKET)
        else:
            price = self.sub.bid_prc(0) if side == Side.BUY else self.sub.ask_prc(0)
            sent = order.send(price, quantity, side, OrderType.LIMIT, Tif.GTC)
        if sent:
            self.write("sent", order.order_id)

    def has_ended(self) -> bool:
        """Cancels what is open; is nothing any more?"""
        self.acting.cancel()
        if self.session.state != "ready":
            return False
        if any(order.is_active for order in self.session.orders):
            self.session.cancel_all()
            return False
        return True


def main(addr: str, folder: str, seed: str) -> None:
    """Runs until told to end."""
    eng = Engine(0.001)
    rng = random.Random(f"{seed}/{os.getpid()}")
    traders = [Trader(eng, addr, n, Path(folder) / f"s{n}.jsonl", rng) for n in (1, 2)]

    def watch() -> None:
        if not (Path(folder) / "end").exists():
            return
        # Each is asked: asking cancels.
        ended = [trader.has_ended() for trader in traders]
        if all(ended):
            eng.stop()

    eng.every(0.1, watch)
    eng.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
