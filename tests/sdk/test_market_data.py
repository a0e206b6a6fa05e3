"""Subscriptions: data, facts, conflation, staleness, gaps."""

from __future__ import annotations

import math
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from sdk.conftest import Start
from support.processes import PATIENCE
from support.scripted import Frame, Link

from pyalgo import (
    BarSubscription,
    DepthSubscription,
    InvalidStream,
    InvalidSymbol,
    Misuse,
    OrderType,
    Phase,
    Side,
    SmartOrder,
    Tif,
    TradeSubscription,
)  # fmt: skip

NOON = 1_732_190_400_000_000_000


def quiet(link: Link) -> None:
    """Lets the session in and says nothing more than it must."""
    link.accept()
    link.serve()


def test_row_004_42_depth_facts_and_position(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        link.send(
            stream="dogeusdt@depth",
            data={
                "time": NOON + 1_234_567_890, "update_id": 7,
                "bids": [["0.2", "1000"], ["0.19999", "0.5"]], "asks": [["0.20001", "12345678.5"]],
            },
        )  # fmt: skip
        position = {"symbol": "dogeusdt", "net": "-3.5", "avg_price": "0.21", "realised": "1.25"}
        link.send(gen=1, seq=1, time=1, event="position", position=position, reason="pos.db was edited")
        link.serve()

    play = start(script)
    sub = play.session.subscribe("DogeUSDT", "depth")
    assert isinstance(sub, DepthSubscription)
    seen: list[Any] = []
    sub.on_data = seen.append
    assert math.isnan(sub.bid_prc(0))
    assert (sub.bid_level, sub.time) == (0, 0)
    play.run_until(lambda: seen and sub.net)
    assert (sub.symbol, sub.stream, sub.base, sub.quote) == ("dogeusdt", "depth", "DOGE", "USDT")
    assert (sub.bid_level, sub.ask_level) == (2, 1)
    assert [(sub.bid_prc(i), sub.bid_vol(i)) for i in range(2)] == [(0.2, 1000.0), (0.19999, 0.5)]
    assert (sub.ask_prc(0), sub.ask_vol(0)) == (0.20001, 12345678.5)
    assert math.isnan(sub.ask_prc(1)) and math.isnan(sub.bid_prc(-1)), "there is no such level"
    assert math.isnan(seen[-1].ask_vol(1)) and math.isnan(seen[-1].bid_vol(-1))
    assert sub.time == NOON + 1_234_567_890
    assert sub.datetime == datetime(2024, 11, 21, 12, 0, 1, 234567, tzinfo=UTC)
    assert (sub.tick_size, sub.lot, sub.min_notional, sub.min_prc, sub.max_prc) == (
        1e-05,
        1.0,
        1.0,
        1e-05,
        1000.0,
    )
    assert (sub.delivery, sub.onboard) == (None, None)
    assert (sub.net, sub.avg_price, sub.realised) == (-3.5, 0.21, 1.25)
    (position,) = play.session.positions.values()
    assert (position.symbol, position.net) == ("dogeusdt", -3.5)
    depth = seen[0]
    assert (depth.bids, depth.asks) == ([(0.2, 1000.0), (0.19999, 0.5)], [(0.20001, 12345678.5)])
    assert sub.depth is depth
    assert repr(depth) == (
        "Depth(dogeusdt, 2024-11-21 12:00:01.234567+00:00, bid 0.2 x 1000, ask 0.20001 x 12345678.5, "
        "2+1 levels, update_id=7)"
    )


def bar(start: int, closed: bool, close: str = "2") -> Frame:
    """A minute's bar."""
    return {
        "interval": "1m", "start": start, "end": start + 59_999_000_000, "open": "1", "high": "3",
        "low": "0.5", "close": close, "volume": "10", "amount": "20", "trades": 5, "buy_volume": "4",
        "buy_amount": "8", "closed": closed,
    }  # fmt: skip


def test_row_004_43_bars(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        link.send(stream="dogeusdt@kline:1m", data=bar(NOON, True))
        link.result(link.next("history"), [bar(NOON, True), bar(NOON + 60_000_000_000, False)])
        link.serve()

    play = start(script)
    sub = play.session.subscribe("dogeusdt", "kline:1m")
    assert isinstance(sub, BarSubscription)
    assert math.isnan(sub.close)
    seen: list[Any] = []
    sub.on_data = seen.append
    play.run_until(lambda: seen)
    for shown in (sub, seen[0]):
        assert (shown.open, shown.high, shown.low, shown.close) == (1.0, 3.0, 0.5, 2.0)
        assert (shown.volume, shown.amount, shown.trade_count) == (10.0, 20.0, 5)
        assert (shown.buy_volume, shown.buy_amount, shown.is_closed) == (4.0, 8.0, True)
        assert (shown.interval, shown.start_time, shown.time) == ("1m", NOON, NOON + 59_999_000_000)
        assert shown.datetime == datetime(2024, 11, 21, 12, 0, 59, 999000, tzinfo=UTC)
    with pytest.raises(Misuse, match="count -1"):
        play.session.history("DOGEUSDT", "1m", -1)
    bars = play.session.history("DOGEUSDT", "1m", 2)
    assert [(b.symbol, b.start_time, b.is_closed) for b in bars] == [
        ("dogeusdt", NOON, True),
        ("dogeusdt", NOON + 60_000_000_000, False),
    ]
    assert "close 2, volume 10, closed" in repr(bars[0])


def test_trades_come_in_order_with_their_gaps(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        for number in range(1, 6):
            trade = {
                "id": number,
                "time": NOON,
                "price": "0.2",
                "qty": str(number),
                "buyer_is_maker": number == 1,
            }
            link.send(stream="dogeusdt@trade", data=trade)
            if number == 3:
                link.send(stream="dogeusdt@trade", gap=12)
        link.serve()

    play = start(script)
    sub = play.session.subscribe("dogeusdt", "trade")
    assert isinstance(sub, TradeSubscription)
    log: list[Any] = []
    sub.on_data = lambda trade: log.append((trade.trade_id, trade.quantity, trade.side))
    sub.on_gap = log.append
    play.run_until(lambda: len(log) == 6)
    assert log == [
        (1, 1.0, Side.SELL), (2, 2.0, Side.BUY), (3, 3.0, Side.BUY), 12, (4, 4.0, Side.BUY),
        (5, 5.0, Side.BUY),
    ]  # fmt: skip
    assert (sub.price, sub.quantity, sub.side) == (0.2, 5.0, Side.BUY)


def test_row_004_55_bbo_and_fast_depth(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        for stream in ("dogeusdt@bbo", "dogeusdt@depth:100ms"):
            call = link.next("subscribe")
            assert call["params"]["streams"] == [stream]
            link.ordinary(call)
            link.depth(1, "0.1", "0.2", stream)
        link.serve()

    play = start(script)
    seen: list[Any] = []
    bbo, fast = (play.session.subscribe("dogeusdt", stream) for stream in ("bbo", "depth:100ms"))
    bbo.on_data = fast.on_data = seen.append
    play.run_until(lambda: len(seen) == 2)
    assert (bbo.bid_level, bbo.ask_level, bbo.bid_prc(0)) == (1, 1, 0.1)
    for bad in ("depth:50ms", "kline:7m", "", "level2"):
        with pytest.raises(InvalidStream) as caught:
            play.session.subscribe("dogeusdt", bad)
        assert caught.value.code == -10004
        assert "depth:100ms" in str(caught.value) and "kline:1m, kline:3m" in str(caught.value)
    for count in (0, 5000):
        with pytest.raises(Misuse, match="from 1 to 1000"):
            play.session.history("dogeusdt", "1m", count)
    no_callbacks: list[Any] = [5, lambda: None, lambda data, more: None]
    for no_callback in no_callbacks:
        with pytest.raises(Misuse, match=r"on_data = .* one argument"):
            bbo.on_data = no_callback
        with pytest.raises(Misuse, match=r"on_error = .* one argument"):
            play.session.on_error = no_callback
    bbo.on_data = None


def test_row_004_79_an_error_reply_is_an_exception(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.error(link.next("subscribe"), -10003, "invalid_symbol", "no symbol nosuch; check the spelling")
        link.serve()

    play = start(script)
    with pytest.raises(InvalidSymbol, match="nosuch") as caught:
        play.session.subscribe("nosuch", "depth")
    assert (caught.value.code, caught.value.name) == (-10003, "invalid_symbol")
    assert play.session.subscribe("dogeusdt", "depth").symbol == "dogeusdt"


def test_row_004_80_several_subscriptions_of_one_symbol(start: Start) -> None:
    """Each gets its data, each hears of the orders; the stream itself is asked for once."""

    def script(link: Link) -> None:
        link.accept()
        for _ in range(2):
            link.ordinary(link.next("subscribe"))
        call = link.next("order")
        link.ordinary(call)
        link.order(1, call, "NEW")
        link.depth(1, "0.1", "0.2")
        link.send(stream="dogeusdt@kline:1m", data=bar(NOON, True))
        link.serve()

    play = start(script)
    subs = [play.session.subscribe("dogeusdt", stream) for stream in ("depth", "kline:1m", "depth")]
    log: list[tuple[int, str]] = []
    for at, sub in enumerate(subs):
        sub.on_data = lambda data, at=at: log.append((at, type(data).__name__))
        sub.on_order = lambda order, at=at: log.append((at, order.state))
    play.session.on_order = lambda order: log.append((-1, order.state))
    SmartOrder(subs[0]).send(0.2, 10, Side.BUY, OrderType.LIMIT)
    play.run_until(lambda: len(log) == 7)
    assert log[:4] == [(0, "NEW"), (1, "NEW"), (2, "NEW"), (-1, "NEW")]
    assert sorted(log[4:]) == [(0, "Depth"), (1, "Bar"), (2, "Depth")]
    subs[0].unsubscribe()
    play.session.balances()
    methods = [call["method"] for call in play.gateway.links[0].calls]
    assert "unsubscribe" not in methods, "another subscription still wants the stream"
    subs[2].unsubscribe()
    play.session.balances()
    assert play.gateway.links[0].calls[-2]["params"] == {"streams": ["dogeusdt@depth"]}


def test_only_the_newest_book_is_given_after_a_slow_callback(start: Start) -> None:
    """Private events all arrive, and before the book; of books only the newest."""
    slow = threading.Event()

    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        link.depth(1, "0.1", "0.2")
        call = link.next("order")
        link.ordinary(call)
        for number in range(2, 2002):
            link.depth(number, "0.1", "0.2")
            if number % 200 == 0:
                link.order(number // 200, call, "NEW")
        slow.set()
        link.serve()

    play = start(script)
    sub = play.depth()
    log: list[Any] = []

    def on_data(depth: Any) -> None:
        log.append(depth.update_id)
        if depth.update_id == 1:
            SmartOrder(sub).send(0.2, 10, Side.BUY, OrderType.LIMIT)
            assert slow.wait(PATIENCE)
            # What was sent has reached this machine's socket, if not this process, by now.
            time.sleep(0.2)

    sub.on_data = on_data
    sub.on_order = lambda order: log.append(order.cursor)
    play.run_until(lambda: log and log[-1] == 2001)
    assert [entry for entry in log if isinstance(entry, tuple)] == [(1, number) for number in range(1, 11)]
    books = [entry for entry in log if isinstance(entry, int)]
    assert books[0] == 1
    # One for each time that the socket was read dry, of two thousand.
    assert len(books) < 400, len(books)
    assert books == sorted(books)


def test_old_data_is_called_old(start: Start) -> None:
    go = threading.Event()

    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        link.depth(1, "0.1", "0.2")
        link.send(stream="dogeusdt@depth", stale="the exchange's market data connection is down")
        assert go.wait(PATIENCE)
        link.depth(2, "0.1", "0.2")
        link.serve()

    play = start(script)
    sub = play.depth()
    reasons: list[str] = []
    sub.on_stale = reasons.append
    play.run_until(lambda: reasons)
    assert (sub.is_stale, sub.stale_reason) == (True, "the exchange's market data connection is down")
    go.set()
    play.run_until(lambda: sub.depth and sub.depth.update_id == 2)
    assert (sub.is_stale, sub.stale_reason, reasons) == (False, None, [reasons[0]])


def test_row_004_56_prices_and_quantities_on_the_grid(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        call = link.next("subscribe")
        link.result(call, {"streams": call["params"]["streams"], "products": [PRODUCT_OF_CENTS]})
        link.serve()

    sub = start(script).depth()
    assert sub.floor_to_lot_size(0.3) == 0.3
    assert sub.floor_to_lot_size(0.39999) == 0.3
    assert sub.tick_up(1.0, 3) == 1.03
    assert sub.tick_dn(1.0, 3) == 0.97
    assert (sub.tick_up(1.0, -3), sub.tick_dn(1.0, -3)) == (0.97, 1.03)
    assert (sub.tick_up("1.001"), sub.tick_dn("1.009")) == (1.01, 1.0)
    assert sub.round_price(1.005) == 1.01
    assert (sub.round_price(1.006, Side.BUY), sub.round_price(1.001, Side.SELL)) == (1.0, 1.01)
    assert sub.order_support(OrderType.LIMIT) is True
    assert sub.order_support(OrderType.STOP_LOSS) is False
    assert (sub.tif_support(Tif.GTC), sub.tif_support(Tif.FOK)) == (True, False)
    assert (sub.max_prc, sub.product.max_notional) == (math.inf, math.inf)


PRODUCT_OF_CENTS: Frame = {
    "symbol": "dogeusdt", "base": "DOGE", "quote": "USDT", "status": "TRADING", "tick_size": "0.01",
    "lot": "0.1", "min_price": "0.01", "max_price": "0", "min_qty": "0.1", "max_qty": "0",
    "min_notional": "1", "max_notional": "0", "order_types": ["LIMIT"], "tifs": ["GTC"],
    "amend_allowed": False,
}  # fmt: skip


def at(hour: int, minute: int = 0, second: int = 0, day: int = 21, month: int = 11) -> int:
    """A moment in UTC as nanoseconds."""
    return int(datetime(2024, month, day, hour, minute, second, tzinfo=UTC).timestamp()) * 10**9


def test_row_004_54_phases_of_the_day(start: Start) -> None:
    play = start(quiet)
    sub = play.depth()
    assert (sub.phase, sub.phase_at(at(12))) == (Phase.UNDEF, Phase.UNDEF)
    sub.add_phase(0, 0, 0, Phase.OPEN)
    sub.add_phase(16, 0, 0, Phase.CLOSE)
    assert sub.phase_at(at(15, 59, 59)) == Phase.OPEN
    assert sub.phase_at(at(16)) == Phase.CLOSE
    assert sub.phase in (Phase.OPEN, Phase.CLOSE)
    other = play.depth("btcusdt")
    other.add_phase(9, 30, 0, Phase.OPEN, tz="America/New_York")
    other.add_phase(16, 0, 0, Phase.CLOSE, tz="America/New_York")
    assert other.phase_at(at(14, 29, 59)) == Phase.CLOSE
    assert other.phase_at(at(14, 30)) == Phase.OPEN
    assert other.phase_at(at(13, 30, month=7)) == Phase.OPEN, "an hour earlier in summer"
    assert other.phase_at(at(3, day=22)) == Phase.CLOSE, "a phase lasts over midnight"
    for _ in range(22):
        sub.add_phase(1, 0, 0, Phase.AUCTION)
    with pytest.raises(Misuse, match="24"):
        sub.add_phase(2, 0, 0, Phase.OPEN)
    with pytest.raises(ValueError, match="hour"):
        play.depth().add_phase(24, 0, 0, Phase.OPEN)
