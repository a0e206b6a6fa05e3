"""A client made of a plain websocket library and docs/protocol.md: it logs in, trades, comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.processes import Client, Exchange, Frame, Gateway, Refused, ended, eventually, trading

GOLDEN = Path(__file__).resolve().parents[2] / "docs" / "golden"
Pair = tuple[Exchange, Gateway]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """An exchange whose market stands still, and a gateway at it."""
    with trading(tmp_path, "--ticks-per-second=0") as (exchange, gateway):
        yield exchange, gateway.start()


def of_order(order: str, state: str) -> Any:
    """Is a frame about that order in that state?"""
    return lambda frame: (
        frame.get("event") == "order"
        and (frame["order"]["order_id"], frame["order"]["state"]) == (order, state)
    )


def best(client: Client, symbol: str = "dogeusdt") -> Frame:
    """The book of a symbol, asked for once."""
    stream = f"{symbol}@depth:100ms"
    client.call("subscribe", streams=[stream])
    frame = client.until(lambda frame: frame.get("stream") == stream and "data" in frame)
    client.call("unsubscribe", streams=[stream])
    return dict(frame["data"])


def test_it_trades(pair: Pair) -> None:
    exchange, gateway = pair
    client = gateway.client()
    book = best(client)
    bid, ask = book["bids"][0][0], book["asks"][0][0]
    resting = client.order(type="LIMIT", tif="GTC", price=bid, qty="10")
    assert resting.startswith(client.seat["prefix"])
    client.until(of_order(resting, "NEW"))
    assert [order["order_id"] for order in client.call("orders")["orders"]] == [resting]
    client.number += 1
    client.call("cancel", n=client.number - 1, order_id=resting)
    client.until(of_order(resting, "CANCELED"))
    taking = client.order(type="LIMIT", tif="IOC", price=ask, qty="7")
    event = client.until(of_order(taking, "FILLED"))
    assert (event["order"]["filled"], event["fill"]["maker"]) == ("7", False)
    (position,) = client.call("positions")["positions"]
    assert position == event["position"]
    state = exchange.control("GET", "/control/state?orders=all")
    assert [(order["status"], float(order["origQty"])) for order in state["accounts"][0]["orders"]] == [
        ("CANCELED", 10.0),
        ("FILLED", 7.0),
    ]
    client.close()


def test_a_number_used_twice_gets_the_same_answer_and_sends_nothing(pair: Pair) -> None:
    exchange, gateway = pair
    client = gateway.client()
    bid = best(client)["bids"][0][0]
    wish = {"type": "LIMIT", "price": bid, "qty": "10"}
    order = client.order(**wish)
    n = client.number - 1
    again = client.call("order", n=n, symbol="dogeusdt", side="BUY", **wish)
    assert again == {"n": n, "order_id": order}
    client.until(of_order(order, "NEW"))
    orders = exchange.control("GET", "/control/state?orders=all")["accounts"][0]["orders"]
    assert len(orders) == 1
    client.close()


def test_it_comes_back_to_what_it_missed(pair: Pair) -> None:
    exchange, gateway = pair
    client = gateway.client()
    bid = best(client)["bids"][0][0]
    order = client.order(type="LIMIT", price=bid, qty="10")
    seen = client.until(of_order(order, "NEW"))
    client.socket.send(json.dumps({"method": "ack", "params": {"gen": seen["gen"], "seq": seen["seq"]}}))
    client.close()
    exchange.control("POST", "/control/price", {"symbol": "DOGEUSDT", "price": "0.1"})
    later = f"SELECT 1 FROM event WHERE session = 1 AND sequence > {seen['seq']}"
    eventually(lambda: gateway.sql(later, "journal.db"), "the fill to be known to the gateway")

    # Without a cursor it goes on after what was acknowledged; with one, after that.
    again = Client(gateway, 1)
    assert again.seat["resume"] == "events"
    event = again.until(lambda frame: ended(frame, order))
    assert (event["order"]["state"], event["seq"], event["replayed"]) == ("FILLED", seen["seq"] + 1, True)
    again.close()
    cursor = {"gen": event["gen"], "seq": event["seq"]}
    last = Client(gateway, 1, cursor=cursor)
    assert (last.seat["last"], last.seat["resume"]) == (cursor, "events")
    last.close()
    old = Client(gateway, 1, cursor={"gen": event["gen"] + 7, "seq": 1})
    assert old.seat["resume"] == "snapshot"
    snapshot = old.until(lambda frame: frame.get("event") == "snapshot")
    assert (snapshot["orders"], snapshot["positions"][0]["symbol"]) == ([], "dogeusdt")
    old.close()


def test_a_pending_command_is_answered_and_never_sent(pair: Pair) -> None:
    exchange, gateway = pair
    client = gateway.client()
    bid = best(client)["bids"][0][0]
    order = client.order(type="LIMIT", price=bid, qty="10")
    client.until(of_order(order, "NEW"))
    epoch, n = client.seat["epoch"], client.number - 1
    params = {"symbol": "dogeusdt", "side": "BUY", "type": "LIMIT", "price": bid, "qty": "10"}
    client.close()
    pending = [{"epoch": epoch, "method": "order", "params": {"n": at} | params} for at in (n, n + 1)]
    again = Client(gateway, 1, pending=pending)
    known, unknown = again.seat["answers"]
    assert known == {"result": {"n": n, "order_id": order}}
    assert unknown is None or unknown["error"]["code"] < 0
    orders = exchange.control("GET", "/control/state?orders=all")["accounts"][0]["orders"]
    assert len(orders) == 1
    again.close()


def test_over_a_restart_a_command_is_asked_for_under_its_epoch_and_its_number_is_another_one(
    pair: Pair,
) -> None:
    exchange, gateway = pair
    client = gateway.client()
    bid = best(client)["bids"][0][0]
    order = client.order(type="LIMIT", price=bid, qty="10")
    client.until(of_order(order, "NEW"))
    epoch, n = client.seat["epoch"], client.number - 1
    client.close()
    gateway.running.kill()
    gateway.start()
    params = {"n": n, "symbol": "dogeusdt", "side": "BUY", "type": "LIMIT", "price": bid, "qty": "10"}
    again = gateway.client(pending=[{"epoch": epoch, "method": "order", "params": params}])
    assert again.seat["answers"] == [{"result": {"n": n, "order_id": order}}]
    assert again.seat["epoch"] > epoch and again.seat["next_command"] <= n
    orders = [
        row["clientOrderId"] for row in exchange.control("GET", "/control/state")["accounts"][0]["orders"]
    ]
    assert orders == [order], "asking sends nothing"
    # Why docs/protocol.md warns: whoever repeats it under the new epoch has ordered twice.
    assert again.call("order", **params)["order_id"] != order
    again.close()


def test_every_question_is_answered(pair: Pair) -> None:
    _, gateway = pair
    client = gateway.client()
    assert {product["symbol"] for product in client.call("products")} >= {"btcusdt", "dogeusdt"}
    assert [product["symbol"] for product in client.call("products", symbols=["BTCUSDT"])] == ["btcusdt"]
    assert client.call("positions") == {"session_id": 1, "positions": []}
    assert client.call("orders", symbols=["dogeusdt"]) == {"session_id": 1, "orders": []}
    assert {"USDT", "DOGE"} <= {balance["asset"] for balance in client.call("balances")}
    assert client.call("time")["time"] > 1_700_000_000_000_000_000
    bars = client.call("history", symbol="dogeusdt", interval="1m", count=5)
    assert 1 <= len(bars) <= 5
    for method, params, code in [
        ("products", {"symbols": ["nosuch"]}, -10003), ("nonsense", {}, -10009), ("time", {"x": 1}, -10008),
        ("subscribe", {"streams": ["dogeusdt@depth:50ms"]}, -10004),
        ("subscribe", {"streams": ["nosuch@depth"]}, -10003),
        ("history", {"symbol": "dogeusdt", "interval": "7m", "count": 1}, -10004),
        ("cancel", {"n": 90, "order_id": "o"}, -20009),
    ]:  # fmt: skip
        with pytest.raises(Refused) as refused:
            client.call(method, **params)
        assert refused.value.error["code"] == code, method
    client.close()


def test_an_amended_order_is_told_with_its_new_quantity(pair: Pair) -> None:
    _, gateway = pair
    client = gateway.client()
    order = client.order(type="LIMIT", tif="GTC", price=best(client)["bids"][0][0], qty="100")
    client.until(of_order(order, "NEW"))
    client.number += 1
    client.call("amend", n=client.number - 1, order_id=order, qty="60")
    event = client.until(lambda frame: frame.get("event") == "order")
    assert (event["order"]["order_id"], event["order"]["qty"]) == (order, "60")
    client.close()


def kinds() -> dict[str, set[str]]:
    """Which members each kind of object of the golden frames may have, by where it stands."""
    found: dict[str, set[str]] = {}
    for file in GOLDEN.glob("*.json"):
        for golden in json.loads(file.read_text()):
            if golden["from"] == "gateway":
                walk(kind(golden["frame"]), golden["frame"], found)
    return found


def kind(frame: Frame) -> str:
    """What sort of frame it is. That data are old is told of every stream alike, if a machine stalls."""
    if "stale" in frame:
        return "stale"
    if "stream" in frame:
        return str(frame["stream"]).split("@", 1)[1].split(":", 1)[0].replace("bbo", "depth")
    return str(frame.get("event", "reply"))


def walk(place: str, value: Any, found: dict[str, set[str]]) -> None:
    """Notes the members of every object at its place."""
    if isinstance(value, dict):
        found.setdefault(place, set()).update(value)
        for name, member in value.items():
            # An order, a position, a bar is the same wherever it stands.
            walk(name.rstrip("s") if isinstance(member, dict | list) else name, member, found)
    elif isinstance(value, list):
        for member in value:
            walk(place, member, found)


def test_what_the_gateway_sends_has_the_golden_members_and_no_others(pair: Pair) -> None:
    """A session's whole traffic: each object has members the golden frames show at that place."""
    _, gateway = pair
    client = gateway.client()
    everything: list[Frame] = list(client.frames)
    bid = best(client)["bids"][0][0]
    receive = client.receive

    def noting(*arguments: Any) -> Frame:
        frame = receive(*arguments)
        everything.append(frame)
        return frame

    client.receive = noting  # type: ignore[method-assign]
    client.call(
        "subscribe",
        streams=[f"dogeusdt@{name}" for name in ("depth", "bbo", "trade", "kline:1s", "book")],
    )
    client.buy("10")
    order = client.order(type="LIMIT", tif="GTC", price=bid, qty="100")
    client.until(of_order(order, "NEW"))
    client.number += 1
    client.call("cancel_all", n=client.number - 1)
    client.until(of_order(order, "CANCELED"))
    for method in ("products", "positions", "orders", "balances"):
        client.call(method)
    while not {kind(frame) for frame in everything} >= {"order", "depth", "trade", "kline", "book", "reply"}:
        # Each purchase is a public trade and changes the book; the bar of a second paces the loop.
        client.buy("10")
        client.until(lambda frame: "kline" in str(frame.get("stream")))
    client.close()
    allowed = kinds()
    unknown: dict[str, set[str]] = {}
    for frame in everything:
        seen: dict[str, set[str]] = {}
        walk(kind(frame), frame, seen)
        for place, members in seen.items():
            if extra := members - allowed.get(place, set()):
                unknown.setdefault(place, set()).update(extra)
    assert unknown == {}
