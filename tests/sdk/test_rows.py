"""What the reference document promises of sessions and market data, against the real gateway."""

from __future__ import annotations

import os
import time
from decimal import Decimal
from pathlib import Path

import pytest
from sdk.conftest import Connect, Start
from support.processes import PATIENCE, Gateway, Refused
from support.scripted import Link
from support.system import System, wait_for

from pyalgo import DepthSubscription, Engine, InvalidStream, Order, OrderState, OrderType, Side, SmartOrder

LENGTHS = ("1s 1m 3m 5m 15m 30m", "1h 2h 4h 6h 8h 12h", "1d 3d 1w 1M")


def test_row_004_20_bars_of_all_sixteen_lengths(system: System, connect: Connect) -> None:
    session = connect(system).session
    for interval in " ".join(LENGTHS).split():
        assert session.subscribe("dogeusdt", f"kline:{interval}").interval == interval
    with pytest.raises(InvalidStream) as caught:
        session.subscribe("dogeusdt", "kline:7m")
    assert caught.value.code == -10004


def test_row_004_76_depth_has_twenty_levels_and_the_time_of_receipt(system: System, connect: Connect) -> None:
    play = connect(system)
    before = play.eng.now()
    sub = play.depth()
    play.run_until(lambda: sub.ask_level > 0)
    assert (sub.bid_level, sub.ask_level) == (20, 20)
    assert before <= sub.time <= play.eng.now(), "the exchange sends none on spot"


def test_row_004_78_products_are_those_asked_for(system: System, connect: Connect) -> None:
    session = connect(system).session
    assert list(session.products("BTCUSDT")) == ["btcusdt"]
    assert len(session.products()) > 1


def test_row_004_55_bbo_is_one_level_and_there_is_no_depth_of_50_ms(system: System, connect: Connect) -> None:
    play = connect(system)
    bbo, fast = (play.session.subscribe("dogeusdt", stream) for stream in ("bbo", "depth:100ms"))
    play.run_until(lambda: bbo.ask_level > 0 and fast.ask_level > 0)
    assert (bbo.bid_level, bbo.ask_level, fast.bid_level) == (1, 1, 20)
    with pytest.raises(InvalidStream) as caught:
        play.session.subscribe("dogeusdt", "depth:50ms")
    assert caught.value.code == -10004


def test_row_004_73_an_order_by_hand_is_nobodys(system: System, connect: Connect) -> None:
    """In the journal without a session, EXTERNAL's in the books; a session's position stays what it was."""
    play = connect(system)
    sub = play.depth()
    order = SmartOrder(sub)
    play.run_until(lambda: sub.ask_level > 0)
    order.send(None, 100, Side.BUY, OrderType.MARKET)
    play.run_until(lambda: order.state == OrderState.FILLED)
    held = sub.net
    external = "SELECT amount FROM _asset WHERE owner='external' AND asset='DOGE'"
    before = Decimal(wait_for("EXTERNAL's row", lambda: system.gateway.sql(external))[0][0])
    by_hand = {"account": "main", "symbol": "DOGEUSDT", "side": "SELL", "qty": "70"}
    system.exchange.control("POST", "/control/trade", by_hand)
    fills = "SELECT session, side, qty FROM fill WHERE session IS NULL"
    wait_for("the fill", lambda: system.gateway.sql(fills, "journal.db"))
    assert {row[:2] for row in system.gateway.sql(fills, "journal.db")} == {(None, "SELL")}
    wait_for(
        "EXTERNAL's row to have it",
        lambda: Decimal(system.gateway.sql(external)[0][0]) == before - 70,
    )
    play.session.close()
    assert connect(system).session.positions["dogeusdt"].net == held


def test_row_004_52_a_thousand_sessions_at_once(system: System) -> None:
    """All logged in and ready; each is itself: what one trades is its own."""
    numbers = [*range(0, 64_935, 65), 65_535]
    assert len(numbers) == 1_000
    with Engine() as eng:
        sessions = [
            eng.make_session(
                addr=system.address, session_id=number, trading=True, token_file=system.token_file
            )
            for number in numbers
        ]
        assert {session.state for session in sessions} == {"ready"}
        assert [session.session_id for session in sessions] == numbers
        orders = [SmartOrder(session.subscribe("dogeusdt", "bbo")) for session in sessions[::50]]
        eng.every(0.01, lambda: all(order.state == OrderState.FILLED for order in orders) and eng.stop())
        late = eng.after(PATIENCE, eng.stop)
        for order in orders:
            assert order.send(None, 100, Side.BUY, OrderType.MARKET), order.code
        eng.run()
        late.cancel()
        assert [order.state for order in orders] == [OrderState.FILLED] * 20
        traded = {number for number, session in zip(numbers, sessions, strict=True) if session.positions}
        assert traded == set(numbers[::50])


def test_row_004_66_a_position_is_told_as_it_is(system: System, connect: Connect) -> None:
    play = connect(system)
    sub = play.depth()
    order = SmartOrder(sub)
    play.run_until(lambda: sub.ask_level > 0)
    order.send(None, 100, Side.BUY, OrderType.MARKET)
    play.run_until(lambda: order.state == OrderState.FILLED)
    held = sub.net
    assert held > 0
    play.session.close()
    after = connect(system)
    assert after.session.positions["dogeusdt"].net == held
    assert after.depth().net == held


def test_row_004_72_a_session_cannot_be_forged(system: System) -> None:
    client = system.gateway.client(1)
    params = {"symbol": "dogeusdt", "side": "BUY", "type": "MARKET", "qty": "100"}
    with pytest.raises(Refused) as refused:
        client.call("order", n=client.number, session_id=2, **params)
    assert refused.value.error["name"] == "bad_request"
    assert "session_id" in refused.value.error["message"]
    assert system.orders("all") == [], "the exchange saw nothing"
    client.close()


def test_r73_another_sessions_order_is_out_of_reach(system: System) -> None:
    owner, other = system.gateway.client(1), system.gateway.client(2)
    order = owner.order(type="LIMIT", price="0.1", qty="100")
    owner.until(lambda frame: frame.get("event") == "order" and frame["order"]["state"] == "NEW")
    for method, more in [("cancel", {}), ("amend", {"qty": "90"})]:
        with pytest.raises(Refused) as refused:
            other.call(method, n=other.number, order_id=order, **more)
        assert refused.value.error["name"] == "unknown_order"
        other.number += 1
    assert other.call("cancel_all", n=other.number)["order_ids"] == []
    assert [found["status"] for found in system.orders("all")] == ["NEW"]
    owner.close()
    other.close()


def test_row_004_45_51_every_state_is_told_in_order_and_the_first_ones_are_active(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        call = link.next("order")
        link.ordinary(call)
        link.order(1, call, "NEW")
        link.fill(2, call, "4", "4", "PARTIALLY_FILLED")
        link.fill(3, call, "6", "10", "FILLED")
        call = link.next("order")
        link.ordinary(call)
        link.order(4, call, "NEW")
        link.order(5, call, "CANCELED")
        call = link.next("order")
        link.ordinary(call)
        link.order(6, call, "REJECTED", "0")
        link.serve()

    play = start(script)
    sub: DepthSubscription = play.depth()
    order = SmartOrder(sub)
    told: list[tuple[OrderState, bool, bool]] = []

    def on_order(seen: Order) -> None:
        told.append((seen.state, seen.is_active, order.is_active))

    sub.on_order = on_order
    for count in (3, 5, 6):
        assert order.send(0.2, 10, Side.BUY, OrderType.LIMIT)
        assert order.state is not None and order.state.is_active, "PENDING is active"
        play.run_until(lambda count=count: len(told) == count)
    state = OrderState
    assert told == [
        (state.NEW, True, True), (state.PARTIALLY_FILLED, True, True), (state.FILLED, False, False),
        (state.NEW, True, True), (state.CANCELED, False, False), (state.REJECTED, False, False),
    ]  # fmt: skip
    active = [word for word in OrderState if word.is_active]
    assert active == [state.PENDING, state.UNKNOWN, state.NEW, state.PARTIALLY_FILLED]


def cpu_seconds(gateway: Gateway) -> float:
    """Processor time the gateway has used so far."""
    fields = Path(f"/proc/{gateway.running.popen.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_row_004_77_an_idle_gateway_sleeps(system: System, machine_lacks: object) -> None:
    if not Path("/proc/self/stat").exists():
        machine_lacks("no /proc")  # type: ignore[operator]
    client = system.gateway.client(1)
    client.close()
    for _ in range(6):
        before, since = cpu_seconds(system.gateway), time.monotonic()
        # Nothing is waited for: what is measured is a stretch of nothing to do.
        time.sleep(5)
        used = (cpu_seconds(system.gateway) - before) / (time.monotonic() - since)
        print(f"{used:.1%} of a core while nothing happens")
        if used < 0.02:
            return
        # Neighbours cost time, too: once more.
    pytest.fail(f"{used:.1%} of a core while nothing happens")


def test_row_004_12_a_strategy_has_no_place_for_a_key() -> None:
    stubs = Path(__file__).parents[2] / "pyalgo" / "python" / "pyalgo" / "_core.pyi"
    text = stubs.read_text().lower()
    assert not any(word in text for word in ("apikey", "api_key", "secret", "pem"))
    sample = (stubs.parents[3] / "spot.json").read_text()
    assert '"apikey"' in sample and '"pem"' in sample
