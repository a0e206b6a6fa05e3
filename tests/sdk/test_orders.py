"""SmartOrder: one order at a time, told in order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sdk.conftest import Start
from support.scripted import Frame, Link

from pyalgo import InvalidNumber, Misuse, NonTrading, OrderState, OrderType, Side, SmartOrder, Tif


def test_row_004_44_one_order_at_a_time(start: Start) -> None:
    calls: list[Frame] = []

    def script(link: Link) -> None:
        link.accept()
        call = link.next("order")
        calls.append(call)
        link.ordinary(call)
        link.order(1, call, "NEW")
        link.fill(2, call, "4", "4", "PARTIALLY_FILLED")
        link.fill(3, call, "6", "10", "FILLED")
        calls.append(link.next("order"))
        link.serve()

    play = start(script)
    sub = play.depth()
    order = SmartOrder(sub)
    seen: list[Any] = []

    def on_order(told: Any) -> None:
        seen.append((told.state, order.state, sub.net, order.is_active, told.trade_quantity, told.making))
        assert not order.is_active or not order.send(0.3, 5, Side.BUY, OrderType.LIMIT)

    sub.on_order = on_order
    assert order.send(0.2, 10, Side.BUY, OrderType.LIMIT)
    assert (order.state, order.is_active) == (OrderState.PENDING, True)
    assert order.send(0.2, 10, Side.BUY, OrderType.LIMIT) is False
    play.run_until(lambda: len(seen) == 3)
    new, part, full = OrderState.NEW, OrderState.PARTIALLY_FILLED, OrderState.FILLED
    assert seen == [
        (new, new, 0.0, True, 0.0, False),
        (part, part, 4.0, True, 4.0, True),
        (full, full, 10.0, False, 6.0, True),
    ]
    assert order.send(0.2, 10, Side.BUY, OrderType.LIMIT) is True
    play.run_until(lambda: len(calls) == 2)
    assert [call["params"]["n"] for call in calls] == [1, 2]


def test_row_004_46_price_and_quantity_go_onto_the_grid(start: Start) -> None:
    asked: list[Frame] = []

    def script(link: Link) -> None:
        link.accept()
        while True:
            call = link.next("order")
            asked.append(call["params"])
            link.error(call, -20010, "not_ready", "wait")

    play = start(script)
    order = SmartOrder(play.depth())
    rows: list[tuple[Any, Any, Side, str, str]] = [
        (0.123456, 10.9, Side.SELL, "0.12346", "10"),
        (0.123456, 10.9, Side.BUY, "0.12345", "10"),
        (Decimal("0.12345"), Decimal(10), Side.BUY, "0.12345", "10"),
        ("0.12345", "10", Side.SELL, "0.12345", "10"),
        (1, 3, Side.SELL, "1", "3"),
        (0.1 + 0.2, 0.1 + 0.2 + 0.7, Side.SELL, "0.3", "1"),
        (1.1 - 0.8, 3, Side.BUY, "0.3", "3"),
        (1e-05, 1e6, Side.BUY, "0.00001", "1000000"),
        (Decimal("0.2999999999999999999999"), 1, Side.BUY, "0.29999", "1"),
    ]
    for at, (price, quantity, side, _, _) in enumerate(rows):
        assert order.send(price, quantity, side, OrderType.LIMIT)
        play.run_until(lambda at=at: len(asked) > at and order.state == OrderState.REJECTED)
    assert [(call["price"], call["qty"], call["side"]) for call in asked] == [
        (price, quantity, side) for _, _, side, price, quantity in rows
    ]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1, "x", None, Decimal("NaN"), [], "1e99", -0.5])
def test_a_number_that_is_none_is_refused(start: Start, bad: Any) -> None:
    play = start(lambda link: (link.accept(), link.serve()))
    order = SmartOrder(play.depth())
    for price, quantity in ((bad, 10), (0.2, bad)):
        if bad is not None:
            with pytest.raises(InvalidNumber) as caught:
                order.send(price, quantity, Side.BUY, OrderType.LIMIT)
            assert isinstance(caught.value, ValueError)
            assert caught.value.code == -40005
            assert str(caught.value).startswith("qty: " if price == 0.2 else "price: ")
    assert order.state is None
    assert not any(call["method"] == "order" for call in play.gateway.links[0].calls)


def test_row_004_74_a_market_order_has_neither_price_nor_time_in_force(start: Start) -> None:
    asked: list[Frame] = []

    def script(link: Link) -> None:
        link.accept()
        for _ in range(4):
            call = link.next("order")
            asked.append(call["params"])
            link.error(call, -20010, "not_ready", "wait")
        link.serve()

    play = start(script)
    order = SmartOrder(play.depth())
    sends: list[dict[str, Any]] = [
        {"price": 0.2, "qty": 10, "type": OrderType.MARKET},
        {"price": None, "qty": None, "type": OrderType.MARKET, "quote_amount": "100.5"},
        {"price": None, "qty": None, "type": OrderType.MARKET, "quote_amount": 200 / 3},
        {"price": 0.21, "qty": 10, "type": OrderType.STOP_LOSS_LIMIT, "stop_price": 0.220001, "tif": Tif.IOC},
    ]
    for at, send in enumerate(sends, 1):
        assert order.send(side=Side.BUY, **send)
        play.run_until(lambda at=at: len(asked) == at and not order.is_active)
    common = {"symbol": "dogeusdt", "side": "BUY"}
    assert asked == [
        {"n": 1, **common, "type": "MARKET", "qty": "10"},
        {"n": 2, **common, "type": "MARKET", "quote_amount": "100.5"},
        {"n": 3, **common, "type": "MARKET", "quote_amount": "66.66666666"},
        {"n": 4, **common, "type": "STOP_LOSS_LIMIT", "tif": "IOC", "price": "0.21", "qty": "10",
         "stop_price": "0.22"},
    ]  # fmt: skip


def test_row_004_47_kill_is_sent_once_and_not_before_the_acceptance(start: Start) -> None:
    log: list[str] = []

    def script(link: Link) -> None:
        link.accept()
        call = link.next("order")
        # What the strategy sends before the acceptance would be read here.
        balances = link.next("balances", "cancel")
        log.append(balances["method"])
        link.result(balances, [])
        link.ordinary(call)
        cancel = link.next("cancel", "balances")
        log.append(cancel["method"])
        assert cancel["params"]["order_id"] == link.order_id(call)
        link.ordinary(cancel)
        balances = link.next("balances", "cancel")
        log.append(balances["method"])
        link.result(balances, [])
        link.order(1, call, "CANCELED")
        link.serve()

    play = start(script)
    order = SmartOrder(play.depth())
    assert order.kill() is False
    assert order.send(0.2, 10, Side.BUY, OrderType.LIMIT)
    assert (order.kill(), order.kill()) == (True, False)
    play.session.balances()
    play.run_until(lambda: len(log) == 2)
    assert order.kill() is False
    play.session.balances()
    play.run_until(lambda: not order.is_active)
    assert log == ["balances", "cancel", "balances"]
    assert (order.state, order.kill()) == (OrderState.CANCELED, False)


def test_row_004_48_everything_can_be_read_before_any_order(start: Start) -> None:
    play = start(lambda link: (link.accept(), link.serve()))
    order = SmartOrder(play.depth())
    assert (order.is_active, order.price, order.quantity, order.acc, order.making) == (
        False,
        0.0,
        0.0,
        0.0,
        False,
    )
    assert (order.side, order.state, order.order_type, order.tif, order.order_id) == (None,) * 5
    assert (order.code, order.reason, order.avg_price, order.stop_price, order.fee) == (0, "", 0.0, 0.0, 0.0)
    assert order.order is None
    assert repr(order) == "SmartOrder(dogeusdt, no order yet)"


def test_a_refusal_of_the_gateway_is_told_as_rejected(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.error(link.next("order"), -20008, "notional", "price times quantity is 0.2")
        link.serve()

    play = start(script)
    sub = play.depth()
    order = SmartOrder(sub)
    told: list[Any] = []
    sub.on_order = told.append
    play.session.on_order = told.append
    assert order.send(0.2, 1, Side.BUY, OrderType.LIMIT)
    assert order.state == OrderState.PENDING
    play.run_until(lambda: len(told) == 2)
    assert [(o.state, o.code, o.reason) for o in told] == [
        (OrderState.REJECTED, -20008, "price times quantity is 0.2"),
    ] * 2
    assert (order.state, order.code, order.is_active) == (OrderState.REJECTED, -20008, False)


def test_row_004_18_a_watching_session_sends_nothing_and_sees_data(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        link.depth(1, "0.19999", "0.20001")
        link.serve()

    play = start(script, trading=False)
    sub = play.depth()
    seen: list[Any] = []
    sub.on_data = seen.append
    with pytest.raises(NonTrading) as caught:
        SmartOrder(sub).send(0.2, 10, Side.BUY, OrderType.LIMIT)
    assert caught.value.code == -10005
    with pytest.raises(NonTrading):
        play.session.cancel_all()
    play.run_until(lambda: seen)
    assert {call["method"] for call in play.gateway.links[0].calls} == {"hello", "login", "subscribe"}


def test_row_004_71_a_failed_cancel_is_told(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        call = link.next("order")
        link.ordinary(call)
        link.order(1, call, "NEW")
        cancel = link.next("cancel")
        link.ordinary(cancel)
        link.send(
            gen=1, seq=2, time=1, event="cancel_reject", order_id=cancel["params"]["order_id"], code=-20009,
            name="unknown_order", message="-2011 Unknown order sent.",
        )  # fmt: skip
        link.error(link.next("cancel"), -20009, "unknown_order", "not yours")
        link.serve()

    play = start(script)
    sub = play.depth()
    order = SmartOrder(sub)
    errors: list[Any] = []
    sub.on_order_error = errors.append
    order.send(0.2, 10, Side.BUY, OrderType.LIMIT)
    play.run_until(lambda: order.state == OrderState.NEW)
    assert order.kill() is True
    play.run_until(lambda: len(errors) == 1)
    assert order.kill() is True, "a kill that failed may be tried again"
    play.run_until(lambda: len(errors) == 2)
    assert [(e.order_id, e.symbol, e.code) for e in errors] == [(order.order_id, "dogeusdt", -20009)] * 2


def test_amend_asks_for_less(start: Start) -> None:
    asked: list[Frame] = []

    def script(link: Link) -> None:
        link.accept()
        call = link.next("order")
        link.ordinary(call)
        link.order(1, call, "NEW")
        amend = link.next("amend")
        asked.append(amend["params"])
        link.ordinary(amend)
        link.order(2, call | {"params": call["params"] | {"qty": "6"}}, "NEW")
        link.serve()

    play = start(script)
    order = SmartOrder(play.depth())
    assert order.amend(6) is False
    order.send(0.2, 10, Side.BUY, OrderType.LIMIT)
    assert order.amend(6) is False, "not before it works"
    play.run_until(lambda: order.state == OrderState.NEW)
    assert order.amend(6.9) is True
    play.run_until(lambda: order.quantity == 6.0)
    assert asked == [{"n": 2, "order_id": order.order_id, "qty": "6"}]


def test_a_new_smart_order_adopts_what_is_open(start: Start) -> None:
    call: Frame = {"params": {"n": 3, "symbol": "dogeusdt", "side": "SELL", "type": "LIMIT", "tif": "GTC",
                              "price": "0.25", "qty": "7"}}  # fmt: skip

    def script(link: Link) -> None:
        link.let_in(link.greet(), resume="events", last={"gen": 1, "seq": 9}, epoch=1000)
        open_order = link.view(call, "PARTIALLY_FILLED", "2")
        link.result(link.next("orders"), {"session_id": 1, "orders": [open_order]})
        cancel = link.next("cancel")
        assert cancel["params"]["order_id"] == link.order_id(call)
        link.ordinary(cancel)
        link.serve()

    play = start(script)
    sub = play.depth("DOGEUSDT")
    fresh = SmartOrder(sub, adopt=False)
    assert fresh.state is None
    first, second = SmartOrder(sub), SmartOrder(sub)
    assert (first.state, first.price, first.acc, first.is_active) == (
        OrderState.PARTIALLY_FILLED,
        0.25,
        2.0,
        True,
    )
    assert second.state is None, "what one holds another cannot"
    assert [order.order_id for order in play.session.orders] == [first.order_id]
    assert first.send(0.3, 1, Side.SELL, OrderType.LIMIT) is False
    del first
    third = SmartOrder(sub)
    assert third.is_active, "what nobody holds any more can be adopted"
    assert third.kill() is True
    play.run_until(lambda: any(call["method"] == "cancel" for call in play.gateway.links[0].calls))


def test_words_that_are_none_are_refused(start: Start) -> None:
    play = start(lambda link: (link.accept(), link.serve()))
    order = SmartOrder(play.depth())
    with pytest.raises(Misuse, match="no Side; there are BUY, SELL"):
        order.send(0.2, 10, "UP", OrderType.LIMIT)  # type: ignore[arg-type]
    with pytest.raises(Misuse, match="OrderType"):
        order.send(0.2, 10, Side.BUY, Tif.GTC)  # type: ignore[arg-type]


def test_cancel_all_and_cancel_by_id(start: Start) -> None:
    asked: list[Frame] = []

    def script(link: Link) -> None:
        link.accept()
        while True:
            call = link.next("cancel", "cancel_all")
            asked.append(call["params"])
            link.ordinary(call)

    play = start(script)
    play.session.cancel_all()
    play.session.cancel_all("DOGEUSDT")
    play.session.cancel("o7cz1k-0013b0001-00016")
    play.run_until(lambda: len(asked) == 3)
    assert asked == [{"n": 1}, {"n": 2, "symbol": "dogeusdt"}, {"n": 3, "order_id": "o7cz1k-0013b0001-00016"}]


def test_while_the_exchange_is_down_nothing_is_sent(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        link.send(event="state", state="down", reason="cut off")
        link.serve()

    play = start(script)
    order = SmartOrder(play.depth())
    play.run_until(lambda: play.session.state == "down")
    assert order.send(0.2, 10, Side.BUY, OrderType.LIMIT) is False
    assert (order.code, order.state, order.is_active) == (-30002, None, False)
    assert "cut off" in order.reason


def test_a_cancel_of_an_order_unknown_here_is_told(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.error(link.next("cancel"), -20009, "unknown_order", 'session 1 has no open order "foo"')
        link.serve()

    play = start(script)
    errors: list[Any] = []
    play.session.on_error = errors.append
    play.session.cancel("foo")
    play.run_until(lambda: errors)
    assert errors[0].code == -20009 and "foo" in str(errors[0])
