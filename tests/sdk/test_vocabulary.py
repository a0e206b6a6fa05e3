"""One order vocabulary: what `SmartOrder` asks for, what each market takes, and how a refusal reads."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sdk.conftest import Connect, Start
from support.scripted import PRODUCT, Frame, Link
from support.system import System

from pyalgo import InvalidNumber, Misuse, OrderState, OrderType, Product, Side, SmartOrder, Tif, WorkingType

SECOND = 1_000_000_000
PERPETUAL: Frame = PRODUCT | {
    "kind": "PERPETUAL", "holding": "DOGEUSDT", "contract_size": "1",
    "order_types": [*PRODUCT["order_types"], "STOP_LOSS", "TRAILING_STOP_MARKET"],
    "tifs": ["GTC", "IOC", "FOK", "GTD"], "working_types": ["LAST", "MARK"],
    "callback_rates": ["0.1", "20"], "amend_price": True,
}  # fmt: skip


def listening(asked: list[Frame]) -> Any:
    """A gateway that notes the orders it is asked for and refuses each."""

    def script(link: Link) -> None:
        link.accept()
        while True:
            call = link.next("order")
            asked.append(call["params"])
            link.error(call, -20010, "not_ready", "wait")

    return script


def test_row_004_74_every_instruction_has_its_word_on_the_wire(start: Start) -> None:
    asked: list[Frame] = []
    play = start(listening(asked))
    order = SmartOrder(play.depth())
    till = 2_000_000_000 * SECOND
    moment = datetime.fromtimestamp(2_000_000_000.75, timezone(timedelta(hours=8)))
    rows: list[tuple[tuple[Any, ...], dict[str, Any], Frame]] = [
        ((0.2, 10, Side.BUY, OrderType.LIMIT_MAKER), {}, {"type": "LIMIT_MAKER", "price": "0.2"}),
        ((0.2, 10, Side.BUY, OrderType.LIMIT, Tif.IOC), {}, {"tif": "IOC"}),
        ((0.2, 10, Side.BUY, OrderType.LIMIT), {"good_till": till}, {"tif": "GTD", "good_till": till}),
        ((0.2, 10, Side.BUY, OrderType.LIMIT), {"good_till": moment}, {"tif": "GTD", "good_till": till}),
        ((0.2, 10, Side.BUY, OrderType.LIMIT), {"good_till": till + 999_999_999}, {"good_till": till}),
        ((None, 10, Side.SELL, OrderType.MARKET), {"reduce_only": True}, {"reduce_only": True}),
        (
            (None, 10, Side.SELL, OrderType.STOP_LOSS),
            {"stop_price": 0.19, "working_type": WorkingType.MARK},
            {"type": "STOP_LOSS", "stop_price": "0.19", "working_type": "MARK"},
        ),
        (
            (None, 10, Side.SELL, OrderType.TRAILING_STOP),
            {"callback_rate": 0.1 + 0.2, "activation_price": 0.250001},
            {"type": "TRAILING_STOP_MARKET", "callback_rate": "0.3", "activation_price": "0.25001"},
        ),
    ]
    for at, (arguments, named, _) in enumerate(rows):
        assert order.send(*arguments, **named)
        play.run_until(lambda at=at: len(asked) > at and order.state == OrderState.REJECTED)
    for call, (_, _, expected) in zip(asked, rows, strict=True):
        assert {name: call[name] for name in expected} == expected
    assert "reduce_only" not in asked[0], "what is not asked for is not said"


@pytest.mark.parametrize("bad", [datetime(2030, 1, 1), "soon", 1.5, [], None])
def test_a_time_that_is_none_is_refused(start: Start, bad: Any) -> None:
    play = start(lambda link: (link.accept(), link.serve()))
    order = SmartOrder(play.depth())
    if bad is None:
        assert order.send(0.2, 10, Side.BUY, OrderType.LIMIT, good_till=None)
        return
    with pytest.raises(Misuse, match="good_till"):
        order.send(0.2, 10, Side.BUY, OrderType.LIMIT, good_till=bad)
    assert order.state is None


def test_a_rate_below_zero_is_no_rate(start: Start) -> None:
    play = start(lambda link: (link.accept(), link.serve()))
    order = SmartOrder(play.depth())
    with pytest.raises(InvalidNumber):
        order.send(None, 10, Side.SELL, OrderType.TRAILING_STOP, callback_rate=-1)
    with pytest.raises(Misuse, match="WorkingType"):
        order.send(
            None, 10, Side.SELL, OrderType.STOP_LOSS, stop_price=0.1,
            working_type="INDEX",  # type: ignore[arg-type]
        )  # fmt: skip


def test_an_amend_says_what_changes_and_nothing_else(start: Start) -> None:
    amended: list[Frame] = []

    def script(link: Link) -> None:
        link.accept()
        call = link.next("order")
        link.ordinary(call)
        link.order(1, call, "NEW")
        while True:
            amend = link.next("amend")
            amended.append(amend["params"])
            link.ordinary(amend)

    play = start(script)
    order = SmartOrder(play.depth())
    assert order.amend(qty=5) is False, "there is no order yet"
    assert order.send(0.2, 10, Side.SELL, OrderType.LIMIT)
    play.run_until(lambda: order.state == OrderState.NEW)
    assert order.amend(5.9)
    assert order.amend(price=0.210001)
    assert order.amend(qty=20, price="0.19")
    play.run_until(lambda: len(amended) == 3)
    told = [{name: call[name] for name in ("qty", "price") if name in call} for call in amended]
    assert told == [{"qty": "5"}, {"price": "0.21001"}, {"qty": "20", "price": "0.19"}]


def test_row_004_42_a_perpetual_tells_what_it_is_and_what_it_takes(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        call = link.next("subscribe")
        link.result(call, {"streams": call["params"]["streams"], "products": [PERPETUAL]})
        link.serve()

    sub = start(script).depth()
    assert (sub.kind, sub.base, sub.holding, sub.contract_size) == ("PERPETUAL", "DOGE", "DOGEUSDT", 1.0)
    assert (sub.delivery, sub.onboard) == (None, None)
    product: Product = sub.product
    assert product.callback_rates == (0.1, 20.0)
    assert product.working_types == [WorkingType.LAST, WorkingType.MARK]
    assert product.amend_price
    assert sub.tif_support(Tif.GTD) and sub.order_support(OrderType.TRAILING_STOP)


def test_a_product_told_the_old_way_is_a_spot_market(start: Start) -> None:
    sub = start(lambda link: (link.accept(), link.serve())).depth()
    assert (sub.kind, sub.holding, sub.contract_size) == ("SPOT", "DOGE", 1.0)
    assert (sub.product.callback_rates, sub.product.amend_price) == (None, False)


def test_row_004_74_a_stop_is_one_order_until_its_last_fill(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        call = link.next("order")
        link.ordinary(call)
        waits = link.view(call, "NEW", conditional_id=5)
        link.order(1, call, "NEW", order=waits)
        for seq, (price, filled, quote, state) in enumerate(
            [("0.19", "4", "0.76", "PARTIALLY_FILLED"), ("0.18", "10", "1.84", "FILLED")], 2
        ):
            fill = {"trade_id": seq, "price": price, "qty": "4", "quote": quote, "fee": "0",
                    "maker": False, "time": 3}  # fmt: skip
            view = waits | {"state": state, "filled": filled, "filled_quote": quote, "venue_order_id": 900}
            link.order(seq, call, state, order=view, fill=fill)
        link.serve()

    play = start(script)
    sub = play.depth()
    order = SmartOrder(sub)
    told: list[Any] = []
    sub.on_order = told.append
    assert order.send(
        None, 10, Side.SELL, OrderType.STOP_LOSS, stop_price=0.19, reduce_only=True,
        working_type=WorkingType.MARK,
    )  # fmt: skip
    assert order.reduce_only
    play.run_until(lambda: not order.is_active)
    assert [(seen.state, seen.conditional_id, seen.venue_order_id) for seen in told] == [
        (OrderState.NEW, 5, None), (OrderState.PARTIALLY_FILLED, 5, 900), (OrderState.FILLED, 5, 900),
    ]  # fmt: skip
    assert {seen.order_id for seen in told} == {order.order_id}
    assert (told[0].working_type, told[0].reduce_only) == (WorkingType.MARK, True)
    assert order.avg_price == pytest.approx(0.184), "from the fills alone"


def test_what_spot_has_not_is_refused_in_words(system: System, connect: Connect) -> None:
    play = connect(system)
    sub = play.depth("dogeusdt")
    play.run_until(lambda: sub.ask_level > 0)
    order = SmartOrder(sub)
    price = sub.bid_prc(0)
    till = play.eng.now() // SECOND * SECOND + 3600 * SECOND
    for named, code, words in [
        ({"good_till": till}, -20014, "it takes GTC, IOC, FOK"),
        ({"reduce_only": True}, -20018, "holds 0 dogeusdt"),
    ]:
        order.send(price, 100, Side.SELL, OrderType.LIMIT, **named)
        play.run_until(lambda: order.state == OrderState.REJECTED and not order.is_active)
        assert (order.code, words in order.reason) == (code, True), order.reason
    for kind, named, code, words in [
        (OrderType.TRAILING_STOP, {"callback_rate": 1}, -20002, "does not take TRAILING_STOP_MARKET"),
        (
            OrderType.STOP_LOSS,
            {"stop_price": price / 2, "working_type": WorkingType.MARK},
            -20015,
            "cannot watch the MARK price",
        ),
    ]:
        order.send(None, 100, Side.SELL, kind, **named)
        play.run_until(lambda kind=kind: order.order_type == kind and not order.is_active)
        assert (order.state, order.code) == (OrderState.REJECTED, code), order.reason
        assert words in order.reason
    assert system.orders("all") == [], "nothing was sent"


def test_reduce_only_on_spot_sells_what_the_session_has_and_no_more(system: System, connect: Connect) -> None:
    play = connect(system)
    sub = play.depth("dogeusdt")
    play.run_until(lambda: sub.ask_level > 0)
    order = SmartOrder(sub)
    assert order.send(None, 100, Side.BUY, OrderType.MARKET)
    play.run_until(lambda: order.state == OrderState.FILLED)
    held = sub.floor_to_lot_size(sub.net)
    assert held > 0
    assert order.send(None, held + 1, Side.SELL, OrderType.MARKET, reduce_only=True)
    play.run_until(lambda: not order.is_active)
    assert (order.state, order.code) == (OrderState.REJECTED, -20018), order.reason
    assert order.send(None, held, Side.SELL, OrderType.MARKET, reduce_only=True)
    play.run_until(lambda: order.state == OrderState.FILLED)
    assert sub.floor_to_lot_size(sub.net) == 0
