"""Limits outside the strategy, sessions against each other, and the budget they share: real processes."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import MachineLacks
from support.processes import PATIENCE, Client, Exchange, Gateway, Refused, ended, eventually, trading

Start = Callable[..., tuple[Exchange, Gateway]]
MARKETS = ("spot", "usdt")


@pytest.fixture
def start(tmp_path: Path, machine_lacks: MachineLacks) -> Iterator[Start]:
    """Starts an exchange, by itself one that stands still, and a gateway of a market with limits."""
    if shutil.which("openssl") is None:
        machine_lacks("no openssl")
    with ExitStack() as stack:

        def begin(exe: str, limits: dict[str, object], *options: str) -> tuple[Exchange, Gateway]:
            options = options or ("--ticks-per-second=0",)
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            folder.mkdir()
            both = trading(folder, *options, exe=exe, limits=limits)
            exchange, gateway = stack.enter_context(both)
            return exchange, gateway.start()

        yield begin


def best_bid(exchange: Exchange, gateway: Gateway) -> tuple[str, float]:
    """Price and quantity of the best bid, as the exchange's own REST says."""
    path = {"spot": "/api/v3", "usdt": "/fapi/v1"}[gateway.exe] + "/ticker/bookTicker?symbol=DOGEUSDT"
    told = exchange.control("GET", path)
    return told["bidPrice"], float(told["bidQty"])


def watch(client: Client) -> None:
    """Waits until the gateway has best prices."""
    client.call("subscribe", streams=["dogeusdt@bbo"])
    client.until(lambda frame: frame.get("stream") == "dogeusdt@bbo" and "data" in frame)


def sends(client: Client, **wish: object) -> str:
    """An order; its id. On a machine that stood still the best prices are old: it waits for new ones."""

    def taken() -> str:
        try:
            return client.order(**wish)
        except Refused as caught:
            if caught.error["name"] != "limit_book":
                raise
            return ""

    return str(eventually(taken, "best prices"))


def refused(client: Client, **wish: object) -> tuple[str, str]:
    """Name and words of the refusal of an order."""
    with pytest.raises(Refused) as caught:
        sends(client, **wish)
    return caught.value.error["name"], caught.value.error["message"]


def rests(client: Client, qty: str, price: str, side: str = "BUY") -> str:
    """An order that rests at the exchange; its id."""
    order = sends(client, side=side, type="LIMIT", price=price, qty=qty)
    seen = client.until(lambda f: f.get("event") == "order" and f["order"]["order_id"] == order)
    assert seen["order"]["state"] == "NEW"
    return order


def cancels(client: Client, order: str) -> None:
    """Cancels it, and waits for its end."""
    client.number += 1
    client.call("cancel", n=client.number - 1, order_id=order)
    assert client.until(lambda frame: ended(frame, order))["order"]["state"] == "CANCELED"


@pytest.mark.parametrize("exe", MARKETS)
def test_r61_limits_hold_at_a_running_gateway_and_over_a_restart(start: Start, exe: str) -> None:
    """Size, band, position, open orders, each by its name; a cancel makes room; a restart forgets nothing."""
    own = {
        "order_qty": {"dogeusdt": "500"},
        "price_band": "20",
        "position_qty": {"dogeusdt": "900"},
        "position_notional": {"USDT": "100000"},
    }
    others = {"account": {"open_orders": 3}, "sessions": {"2": {"symbols": []}}}
    exchange, gateway = start(exe, others | {"session": own}, "--ticks-per-second=20")
    client = gateway.client(1)
    watch(client)
    bid = float(best_bid(exchange, gateway)[0])
    price, far = f"{bid * 0.9:.4f}", f"{bid * 0.5:.4f}"
    first = rests(client, "500", price)
    assert refused(client, type="LIMIT", qty="501", price=price)[0] == "limit_order_size"
    name, words = refused(client, type="LIMIT", qty="500", price=far)
    assert name == "limit_price_band" and "price_band of session 1 is 20 %" in words
    rests(client, "400", price)
    name, words = refused(client, type="LIMIT", qty="100", price=price)
    assert name == "limit_position" and "is 900" in words and "would be 1000" in words
    assert refused(gateway.client(2), type="LIMIT", qty="100", price=price)[0] == "limit_symbols"
    third = gateway.client(3)
    rests(third, "100", price)
    assert refused(third, type="LIMIT", qty="100", price=price)[0] == "limit_open_orders"
    client.close()
    third.close()
    gateway.running.kill()
    gateway.start()
    client = gateway.client(1)
    watch(client)
    name, words = refused(client, type="LIMIT", qty="100", price=price)
    assert name == "limit_position" and "would be 1000" in words, "both that are open count, as before"
    cancels(client, first)
    rests(client, "500", price)
    file = {"spot": "orders", "usdt": "futures_orders"}[exe]
    lines = (gateway.folder / "sim" / f"{file}.jsonl").read_text().splitlines()
    asked = [json.loads(line) for line in lines if '"event":"NEW"' in line]
    assert len(asked) == 4, "what was refused never came to the exchange"


@pytest.mark.parametrize("exe", MARKETS)
def test_r24_two_sessions_that_would_trade_with_each_other_are_both_told(start: Start, exe: str) -> None:
    """The incoming one expires with a reason naming the other; the resting one stays, its session is told."""
    exchange, gateway = start(exe, {})
    buyer, seller = gateway.client(1), gateway.client(2)
    price, ahead = best_bid(exchange, gateway)
    resting = rests(buyer, "100", price)
    # What rests at that price already is sold to first.
    incoming = seller.order(side="SELL", type="LIMIT", qty=str(int(ahead) + 50), price=price)
    end = seller.until(lambda frame: ended(frame, incoming))["order"]
    assert end["state"] == "EXPIRED_IN_MATCH"
    assert f"it would have traded with order {resting} of session 1" in end["reason"]
    notice = buyer.until(lambda frame: frame.get("event") == "notice")
    assert notice["code"] == "self_trade" and notice["order_id"] == resting and incoming in notice["message"]
    cancels(buyer, resting)


def test_r24_an_order_that_would_meet_an_own_one_is_not_sent_where_that_is_wanted(start: Start) -> None:
    exchange, gateway = start("spot", {"refuse_self_trade": True})
    buyer, seller = gateway.client(1), gateway.client(2)
    price, _ = best_bid(exchange, gateway)
    resting = rests(buyer, "100", price)
    name, words = refused(seller, side="SELL", type="LIMIT", qty="100", price=price)
    assert name == "self_trade" and f"order {resting} of session 1" in words


def burst(client: Client, count: int, **order: object) -> int:
    """So many orders, none waited for before the next is sent; how many were taken."""
    asked = set()
    for _ in range(count):
        client.calls += 1
        params = {"n": client.number, "symbol": "dogeusdt", "side": "BUY"} | order
        client.number += 1
        asked.add(client.calls)
        client.socket.send(json.dumps({"id": client.calls, "method": "order", "params": params}))
    taken = 0
    while asked:
        frame = client.receive()
        if frame.get("id") not in asked:
            client.frames.append(frame)
            continue
        asked.remove(frame["id"])
        assert "result" in frame or frame["error"]["name"] == "rate_limited", frame
        taken += "result" in frame
    return taken


@pytest.mark.parametrize("exe", MARKETS)
def test_r13_three_sessions_that_flood_cause_no_429_and_starve_no_cancel(start: Start, exe: str) -> None:
    """One alone, then all, as fast as they can: what the budget has no room for is refused, with a time."""
    options = ("--ticks-per-second=0", "--order-limit=60", "--weight-limit=1200")
    exchange, gateway = start(exe, {}, *options)
    clients = [gateway.client(session) for session in (1, 2, 3)]
    price = f"{float(best_bid(exchange, gateway)[0]) * 0.9:.4f}"
    oldest = [rests(client, "100", price) for client in clients]
    flooder, *others = clients

    def floods(client: Client, count: int = 1) -> int:
        """So many orders at once; how many of them were taken."""
        return burst(client, count, type="LIMIT", price=price, qty="100")

    tried: set[float] = set()

    def kept_for_others() -> bool:
        """Early in a window, of ten seconds, one alone takes what it can get: is the others' part kept?"""
        begun = time.time()
        # Near the window's edge the gateway may still be in the one before; and once in a window is enough.
        if not 0.5 < begun % 10 < 3 or begun // 10 in tried:
            return False
        tried.add(begun // 10)
        while floods(flooder, 50) == 50:
            if time.time() - begun > 2:
                return False
        kept = [floods(client, 8) for client in others] == [8, 8]
        # Towards the window's end what nobody has used is free for all: then this has shown nothing.
        late = time.time() - begun > 2
        assert kept or late
        return kept

    eventually(kept_for_others, "what the others had early in a window")
    sent, told, deadline = [0, 0, 0], 0, time.monotonic() + PATIENCE
    while told <= 100 or min(sent) < 8:
        assert time.monotonic() < deadline, (sent, told)
        for who, client in enumerate(clients):
            try:
                client.place("dogeusdt", "BUY", type="LIMIT", price=price, qty="100")
                sent[who] += 1
            except Refused as caught:
                assert caught.error["name"] == "rate_limited", caught
                assert 0 < caught.error["retry_after_ms"] <= 10_600
                told += 1
    # The flooder has used up what was its own, and has it again in the next window.
    assert told > 100 and all(count >= 8 for count in sent[1:]), (sent, told)
    eventually(lambda: floods(flooder), "the flooder's part of the next window")
    for client, order in zip(clients, oldest, strict=True):
        cancels(client, order)
    turned_away = exchange.control("GET", "/control/state")["refused"]
    assert set(turned_away.values()) == {0}, turned_away
