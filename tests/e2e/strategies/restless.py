"""Trades without rest and writes every event into a file of its own before the next.

Arguments: address, session, file, seed. The file is all it remembers: killed and started again it goes on
after its last line. Lines: `["event", [gen, seq], order id, state, trade id, filled]`, and `["send", 1]`
before each command.
Ends when the file named like its own with `.end` exists and nothing of it is open any more.
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

from pyalgo import Engine, Order, OrderType, Side, SmartOrder, Tif


def last_cursor(path: Path) -> tuple[int, int] | None:
    """Of the last complete line that tells of an event. A torn last line never counted: it is cut off where
    it stands, for a kill may fall into a writing anew."""
    if not path.exists():
        return None
    cursor = None
    kept = b""
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        kept += line
        word = json.loads(line)
        if word[0] == "event":
            cursor = (word[1][0], word[1][1])
    os.truncate(path, len(kept))
    return cursor


def main(addr: str, session_id: str, out: str, seed: str) -> None:
    """Runs until told to end."""
    path = Path(out)
    cursor = last_cursor(path)
    rng = random.Random(f"{seed}/{os.getpid()}")
    file = path.open("a", encoding="utf-8")
    eng = Engine(0.001)
    session = eng.make_session(
        addr=addr, session_id=int(session_id), name="restless", trading=True, take_over=True, cursor=cursor
    )
    sub = session.subscribe("dogeusdt", "bbo")
    orders = [SmartOrder(sub) for _ in range(4)]

    def write(*words: object) -> None:
        file.write(json.dumps(words) + "\n")
        file.flush()

    def on_order(order: Order) -> None:
        if order.cursor is not None:
            write("event", order.cursor, order.order_id, order.state.value, order.trade_id, order.acc)

    def act() -> None:
        if session.state != "ready" or sub.bid_level == 0:
            return
        order = rng.choice(orders)
        if order.is_active:
            order.kill()
            return
        side = rng.choice([Side.BUY, Side.SELL])
        write("send", 1)
        if rng.random() < 0.5:
            order.send(0, rng.randint(20, 60), side, OrderType.MARKET)
        else:
            price = sub.bid_prc(0) if side == Side.BUY else sub.ask_prc(0)
            order.send(price, rng.randint(20, 60), side, OrderType.LIMIT, Tif.GTC)

    def watch() -> None:
        if not path.with_suffix(".end").exists() or session.state != "ready":
            return
        acting.cancel()
        if any(order.is_active for order in session.orders):
            session.cancel_all()
        else:
            write("end")
            eng.stop()

    session.on_order = on_order
    acting = eng.every(0.004, act)
    eng.every(0.25, watch)
    eng.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
