"""docs/sdk.md: its examples run at the real gateway and do what the page says."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from sdk.conftest import Connect, Play
from support.system import ROOT, System

from pyalgo import Engine, OrderState, OrderType, Side, SmartOrder, Tif

PAGE = (ROOT / "docs" / "sdk.md").read_text()


def snippet(name: str) -> str:
    """The one block of that name."""
    (found,) = re.findall(rf"```python {name}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_stop_and_the_close_of_the_page_work_as_they_stand(system: System, connect: Connect) -> None:
    play = connect(system)
    sub = play.depth()
    play.run_until(lambda: sub.ask_level > 0)
    order = SmartOrder(sub)
    names: dict[str, Any] = {"order": order, "sub": sub, "Side": Side, "OrderType": OrderType}
    assert order.send(None, 50, Side.BUY, OrderType.MARKET)
    play.run_until(lambda: order.state == OrderState.FILLED)
    assert sub.net == 49.95, "the fee was taken in DOGE"
    exec(snippet("stop"), names)
    play.run_until(lambda: order.state == OrderState.NEW)
    assert (order.order_type, order.quantity, order.reduce_only) == (OrderType.STOP_LOSS, 49, True)
    assert order.kill()
    play.run_until(lambda: order.state == OrderState.CANCELED)
    exec(snippet("close"), names)
    play.run_until(lambda: order.state == OrderState.FILLED)
    assert 0 < sub.net < sub.lot, "nothing smaller can be sold"


def test_c6_the_books_of_the_page_have_each_fill_once_and_nothing_else(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orders without a fill, and events told again after the process ended without a commit."""
    monkeypatch.setenv("TRADINGSYS_TOKEN_FILE", str(system.token_file))
    with closing(sqlite3.connect(system.folder / "books.db")) as db:
        db.execute("CREATE TABLE cursor(generation INTEGER, sequence INTEGER)")
        db.execute("CREATE TABLE fill(trade_id INTEGER, side TEXT, quantity REAL)")
        db.execute("INSERT INTO cursor VALUES(0, 0)")
        db.commit()

        def begun(eng: Engine) -> tuple[Play, dict[str, Any]]:
            saved = db.execute("SELECT generation, sequence FROM cursor").fetchone()
            names: dict[str, Any] = {"eng": eng, "addr": system.address, "db": db, "saved": saved}
            exec(snippet("once"), names)
            return Play(system, eng, names["session"]), names

        with Engine() as eng:
            play, names = begun(eng)
            sub = play.depth()
            play.run_until(lambda: sub.ask_level > 0)
            order = SmartOrder(sub)
            assert order.send(sub.bid_prc(0) * 0.97, 50, Side.BUY, OrderType.LIMIT, Tif.GTC)
            play.run_until(lambda: order.state == OrderState.NEW)
            assert order.kill()
            play.run_until(lambda: order.state == OrderState.CANCELED)
            assert order.send(None, 50, Side.BUY, OrderType.MARKET)
            play.run_until(lambda: order.state == OrderState.FILLED)
        # Whatever the gateway was told of, or not: what the books have is not taken again.
        with Engine() as eng:
            play, names = begun(eng)
            order = SmartOrder(play.depth())
            assert order.send(None, 20, Side.SELL, OrderType.MARKET)
            play.run_until(lambda: order.state == OrderState.FILLED)
            names["commit"]()
            assert db.execute("SELECT * FROM cursor").fetchone() == play.session.cursor
        booked = db.execute("SELECT trade_id, side, quantity FROM fill").fetchall()
    trades = [(trade["trade_id"], trade["side"], float(trade["qty"])) for trade in system.trades()]
    assert sorted(booked) == sorted(trades) and {side for _, side, _ in booked} == {"BUY", "SELL"}
