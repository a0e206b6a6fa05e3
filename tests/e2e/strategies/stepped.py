"""Trades on what it is shown, stepped: it runs its loop when told to, and says when nothing is left to do.

Arguments: address, session, file, seed. The file is all it remembers: killed and started again it goes on
after its last line, each an object of the event's number `at` and what a callback was told. It reads `step`
from its standard input, and answers `done STATE ACTIVE NET`. After as many commands as it may give in one
life it cancels what is open. Now and then it dies amid a callback, before or after it has written.
"""

from __future__ import annotations

import json
import os
import random
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from pyalgo import Depth, Engine, Notice, Order, OrderType, Side, SmartOrder, Tif

COMMANDS = 30
DEATH = 0.004
Cursor = tuple[int, int]


def plain(number: float) -> str:
    """Without an exponent."""
    return format(Decimal(repr(number)).normalize(), "f")


def told(order: Order) -> dict[str, Any]:
    """What an event said of an order, and of its fill if it told of one."""
    view = {
        "order_id": order.order_id, "n": order.internal_id, "symbol": order.symbol, "side": order.side.value,
        "type": order.order_type.value, "qty": plain(order.quantity), "state": order.state.value,
        "filled": plain(order.acc), "filled_quote": "0", "reason": order.reason, "time": order.time,
    }  # fmt: skip
    if order.code:
        view["code"] = order.code
    fill = None if order.trade_id is None else (order.trade_id, plain(order.trade_quantity))
    return {"order": view, "fill": fill}


class Diary:
    """The file, and where it ends."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        lines = path.read_text(encoding="utf-8").splitlines()
        self.last: Cursor | None = tuple(json.loads(lines[-1])["at"]) if lines else None
        self.file = path.open("a", encoding="utf-8")
        self.rng = rng

    def write(self, at: Cursor | None, words: dict[str, Any]) -> None:
        """What has no number is this side's own word; what is not new was told before."""
        if at is None or (self.last is not None and at <= self.last):
            return
        self.last = at
        self.may_die()
        self.file.write(json.dumps({"at": at, **words}) + "\n")
        self.file.flush()
        self.may_die()

    def may_die(self) -> None:
        """Without a word to anyone."""
        if self.rng.random() < DEATH:
            os._exit(9)


class Strategy:
    """Draws an order at each tick, and sends or cancels it."""

    def __init__(self, eng: Engine, addr: str, session_id: int, diary: Diary) -> None:
        self.diary, self.rng, self.sent = diary, diary.rng, 0
        self.session = eng.make_session(
            addr, session_id, "stepped", trading=True, take_over=True, cursor=diary.last
        )
        self.session.on_order, self.session.on_notice = self.on_order, self.on_notice
        self.sub = self.session.subscribe("dogeusdt", "bbo")
        self.orders = [SmartOrder(self.sub) for _ in range(3)]
        self.sub.on_data = self.on_data

    def on_order(self, order: Order) -> None:
        """An event of an order."""
        self.diary.write(order.cursor, told(order))

    def on_notice(self, notice: Notice) -> None:
        """An event in words."""
        self.diary.write(self.session.cursor, {"notice": notice.code, "about": notice.order_id})

    def on_data(self, bbo: Depth) -> None:
        """The market has moved."""
        if self.session.state != "ready" or not bbo.bid_level or not bbo.ask_level:
            return
        if self.sent < COMMANDS:
            self.sent += 1
            self.act(self.rng.choice(self.orders))
        elif any(order.is_active and not order.canceling for order in self.session.orders):
            self.session.cancel_all()

    def act(self, order: SmartOrder) -> None:
        """One command."""
        if order.is_active:
            order.kill()
            return
        side = self.rng.choice([Side.BUY, Side.SELL])
        quantity = self.rng.randint(20, 900)
        if self.rng.random() < 0.3:
            order.send(0, quantity, side, OrderType.MARKET)
            return
        away = self.rng.randint(-2, 4) * self.sub.tick_size
        price = self.sub.bid_prc(0) - away if side == Side.BUY else self.sub.ask_prc(0) + away
        order.send(price, quantity, side, OrderType.LIMIT, self.rng.choice([Tif.GTC, Tif.IOC]))


def main(addr: str, session_id: str, file: str, seed: str) -> None:
    """Runs until it is killed."""
    eng = Engine()
    strategy = Strategy(eng, addr, int(session_id), Diary(Path(file), random.Random(int(seed))))
    print("idle", flush=True)
    for _ in sys.stdin:
        while eng.process():
            pass
        active = sum(order.is_active for order in strategy.session.orders)
        print("done", strategy.session.state, active, plain(strategy.sub.net), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
