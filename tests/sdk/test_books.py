"""Whole books and marks, and histories that live bars go on."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
from sdk.conftest import Start
from support.processes import PATIENCE
from support.scripted import PRODUCT, Frame, Link

from pyalgo import BookSubscription, InvalidStream, MarkSubscription

BOOK = "dogeusdt@book"
NOON = 1_732_190_400_000_000_000
MINUTE = 60_000_000_000


def whole(update_id: int, bids: list[list[str]], asks: list[list[str]]) -> Frame:
    """A whole book."""
    return {"time": NOON + update_id, "update_id": update_id, "bids": bids, "asks": asks}


def change(previous: int, update_id: int, bids: list[list[str]], asks: list[list[str]]) -> Frame:
    """A change of it."""
    return whole(update_id, bids, asks) | {"previous_id": previous}


def test_a_whole_book_to_any_depth(start: Start) -> None:
    first, go = threading.Event(), threading.Event()

    def script(link: Link) -> None:
        link.accept()
        call = link.next("subscribe")
        assert call["params"]["streams"] == [BOOK]
        link.ordinary(call)
        assert first.wait(PATIENCE)
        bids = [[f"{0.2 - at * 0.001:.3f}", str(at + 1)] for at in range(30)]
        link.send(stream=BOOK, data=whole(10, bids, [["0.21", "5"], ["0.22", "6"]]))
        assert go.wait(PATIENCE)
        link.send(stream=BOOK, data=change(8, 9, [["0.3", "1"]], []))
        link.send(stream=BOOK, data=change(10, 12, [["0.200", "0"], ["0.199", "7"]], [["0.205", "1"]]))
        link.serve()

    play = start(script)
    sub = play.session.subscribe("dogeusdt", "book")
    assert isinstance(sub, BookSubscription)
    assert (sub.is_good, sub.bid_level, sub.update_id) == (False, 0, 0)
    assert math.isnan(sub.bid_prc(0))
    seen: list[Any] = []
    sub.on_data = seen.append
    first.set()
    play.run_until(lambda: sub.is_good)
    book = sub.book
    assert (book.symbol, book.update_id, book.time) == ("dogeusdt", 10, NOON + 10)
    assert (book.bid_level, book.ask_level) == (30, 2)
    assert (book.bid_prc(0), book.bid_vol(0), book.bid_prc(29)) == (0.2, 1.0, 0.171)
    assert math.isnan(book.bid_prc(30))
    assert book.bids(2) == [(0.2, 1.0), (0.199, 2.0)]
    assert book.asks() == [(0.21, 5.0), (0.22, 6.0)]
    go.set()
    play.run_until(lambda: sub.update_id == 12)
    assert (book.bid_prc(0), book.bid_vol(0), book.ask_prc(0), book.ask_vol(0)) == (0.199, 7.0, 0.205, 1.0)
    assert (sub.bid_prc(0), sub.bid_vol(0), sub.ask_prc(0), sub.ask_vol(0)) == (0.199, 7.0, 0.205, 1.0)
    assert (sub.bid_level, sub.ask_level, sub.time) == (29, 3, NOON + 12)
    assert repr(seen[-1]) == "Book(dogeusdt, bid 0.199 x 7, ask 0.205 x 1, 29+3 levels, update_id=12)"
    assert sub.datetime.year == book.datetime.year == 2024


def test_r27_a_book_that_is_not_good_is_empty(start: Start) -> None:
    spoil, mend = threading.Event(), threading.Event()

    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        link.send(stream=BOOK, data=whole(10, [["0.2", "1"]], [["0.21", "5"]]))
        assert spoil.wait(PATIENCE)
        link.send(stream=BOOK, stale="a change of the book is missing after update 10")
        link.send(stream=BOOK, data=change(10, 11, [["0.2", "2"]], []))
        assert mend.wait(PATIENCE)
        link.send(stream=BOOK, data=whole(30, [["0.1", "3"]], []))
        link.serve()

    play = start(script)
    sub = play.session.subscribe("dogeusdt", "book")
    reasons: list[str] = []
    sub.on_stale = reasons.append
    play.run_until(lambda: sub.is_good)
    spoil.set()
    play.run_until(lambda: reasons)
    assert reasons == ["a change of the book is missing after update 10"]
    assert (sub.is_good, sub.is_stale, sub.book.bids(), repr(sub.book)) == (
        False, True, [], "Book(dogeusdt, not good)",
    )  # fmt: skip
    mend.set()
    play.run_until(lambda: sub.is_good)
    assert (sub.is_stale, sub.update_id, sub.book.bids()) == (False, 30, [(0.1, 3.0)])


def test_a_lost_gateway_leaves_no_good_book(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        link.send(stream=BOOK, data=whole(10 + link.number, [["0.2", "1"]], [["0.21", "5"]]))
        if link.number == 0:
            link.next("balances")
            link.abort()
        link.serve()

    play = start(script)
    sub = play.session.subscribe("dogeusdt", "book")
    play.run_until(lambda: sub.is_good)
    with pytest.raises(Exception, match="connection"):
        play.session.balances()
    assert not sub.is_good
    play.run_until(lambda: sub.update_id == 11)
    assert sub.is_good


def test_marks_and_their_absence(start: Start) -> None:
    first = threading.Event()

    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        assert first.wait(PATIENCE)
        mark = {
            "time": NOON,
            "mark": "0.2005",
            "index": "0.2",
            "funding_rate": "-0.0001",
            "next_funding": NOON + 5,
        }
        link.send(stream="dogeusdt@mark", data=mark)
        link.error(link.next("subscribe"), -10004, "invalid_stream", "mark prices are of perpetuals")
        link.serve()

    play = start(script)
    sub = play.session.subscribe("dogeusdt", "mark")
    assert isinstance(sub, MarkSubscription)
    assert (sub.mark, sub.next_funding) == (None, 0)
    assert math.isnan(sub.mark_price)
    seen: list[Any] = []
    sub.on_data = seen.append
    first.set()
    play.run_until(lambda: seen)
    for shown in (sub, seen[0]):
        assert (shown.mark_price, shown.index_price, shown.funding_rate) == (0.2005, 0.2, -0.0001)
        assert (shown.next_funding, shown.time) == (NOON + 5, NOON)
    assert sub.mark is seen[0]
    with pytest.raises(InvalidStream, match="perpetuals"):
        play.session.subscribe("btcusdt", "mark")


def bar(minute: int, closed: bool) -> Frame:
    """A minute's bar."""
    start = NOON + minute * MINUTE
    return {
        "interval": "1m", "start": start, "end": start + MINUTE - 1_000_000, "open": "1", "high": "1",
        "low": "1", "close": "1", "volume": "1", "amount": "1", "trades": 1, "buy_volume": "0",
        "buy_amount": "0", "closed": closed,
    }  # fmt: skip


def test_row_002_75_live_bars_go_on_where_the_history_ends(start: Start) -> None:
    """Bars that closed while the history was on its way come once."""

    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        call = link.next("history")
        for frame in (bar(0, True), bar(1, False), bar(1, True), bar(2, False)):
            link.send(stream="dogeusdt@kline:1m", data=frame)
        link.result(call, [bar(-1, True), bar(0, True), bar(1, False)])
        link.send(stream="dogeusdt@kline:1m", data=bar(2, True))
        link.serve()

    play = start(script)
    sub = play.session.subscribe("dogeusdt", "kline:1m")
    live: list[tuple[int, bool]] = []
    sub.on_data = lambda b: live.append(((b.start_time - NOON) // MINUTE, b.is_closed))
    history = play.session.history("dogeusdt", "1m", 3)
    assert [(b.start_time - NOON) // MINUTE for b in history if b.is_closed] == [-1, 0]
    play.run_until(lambda: (2, True) in live)
    assert [minute for minute, closed in live if closed] == [1, 2]


def test_r42_changed_rules_hold_while_the_session_runs(start: Start) -> None:
    go = threading.Event()

    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        assert go.wait(PATIENCE)
        link.send(event="products", time=1, products=[PRODUCT | {"tick_size": "0.01", "lot": "5"}])
        link.serve()

    play = start(script)
    sub = play.depth()
    assert (sub.tick_size, sub.lot) == (0.00001, 1.0)
    go.set()
    play.run_until(lambda: sub.lot == 5.0)
    assert (sub.tick_size, sub.round_price(0.126), sub.floor_to_lot_size(9)) == (0.01, 0.13, 5.0)
