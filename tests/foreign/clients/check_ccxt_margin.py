"""ccxt on the cross-margin wallet (`marginMode: cross`), its URLs pointed at the simulator."""

from __future__ import annotations

import asyncio
from typing import Any

import ccxt
import ccxt.pro
import pytest
from check_ccxt import SYMBOL, options
from harness import Exchange

CROSS = {"marginMode": "cross"}


def funded(exchange: Exchange, kind: str = "hmac") -> Any:
    """A client, and 1000 USDT in its margin wallet."""
    client = ccxt.binance(options(exchange, kind))
    client.load_markets()
    assert client.transfer("USDT", 1000, "spot", "cross")["id"] == "1"
    return client


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_orders_and_queries(exchange: Exchange, kind: str) -> None:
    client = funded(exchange, kind)
    order = client.create_order(SYMBOL, "limit", "buy", 10, 0.1, CROSS)
    assert (order["status"], order["filled"]) == ("open", 0)
    assert [row["id"] for row in client.fetch_open_orders(SYMBOL, params=CROSS)] == [order["id"]]
    assert client.fetch_open_orders(SYMBOL) == [], "the spot wallet has none"
    assert client.fetch_order(order["id"], SYMBOL, CROSS)["status"] == "open"
    assert client.cancel_order(order["id"], SYMBOL, CROSS)["status"] == "canceled"
    bought = client.create_order(SYMBOL, "market", "buy", 100, params=CROSS)
    assert (bought["status"], bought["filled"], bought["average"]) == ("closed", 100, 0.20001)
    trades = client.fetch_my_trades(SYMBOL, params=CROSS)
    assert [(row["side"], row["amount"], row["takerOrMaker"]) for row in trades] == [("buy", 100, "taker")]
    assert len(client.fetch_orders(SYMBOL, params=CROSS)) == 2
    balance = client.fetch_balance(CROSS)
    assert (balance["DOGE"]["total"], balance["USDT"]["total"]) == (99.9, 979.999)
    with pytest.raises(ccxt.InsufficientFunds):
        client.create_order(SYMBOL, "market", "sell", 1000, params=CROSS)
    with pytest.raises(ccxt.BaseError):
        client.create_order(SYMBOL, "limit", "buy", 10, 0.1, {"marginMode": "isolated"})


def test_loans_and_interest(exchange: Exchange) -> None:
    client = funded(exchange)
    assert client.borrow_cross_margin("DOGE", 500)["currency"] == "DOGE"
    balance = client.fetch_balance(CROSS)
    assert (balance["DOGE"]["total"], balance["DOGE"]["debt"]) == (500, 500)
    exchange.control("margin/interest", {"asset": "DOGE", "rate": "0.001", "interval_ms": 200})
    rows: list[Any] = []
    while len(rows) < 2:
        rows = client.fetch_borrow_interest("DOGE")
    assert {(row["currency"], row["interest"], row["marginMode"]) for row in rows} == {("DOGE", 0.5, "cross")}
    exchange.control("margin/interest", {"interval_ms": 86_400_000})
    assert client.repay_cross_margin("DOGE", 500)["currency"] == "DOGE"
    assert client.fetch_balance(CROSS)["DOGE"]["debt"] < 500
    with pytest.raises(ccxt.BaseError):
        client.borrow_cross_margin("USDT", 90_000)


def test_auto_borrow(exchange: Exchange) -> None:
    client = funded(exchange)
    short = CROSS | {"sideEffectType": "AUTO_BORROW_REPAY"}
    assert client.create_order(SYMBOL, "market", "sell", 1000, params=short)["status"] == "closed"
    assert client.fetch_balance(CROSS)["DOGE"]["debt"] == 1000
    assert client.create_order(SYMBOL, "market", "buy", 1000, params=short)["status"] == "closed"
    assert client.fetch_balance(CROSS)["DOGE"]["debt"] == 1


def test_private_events(exchange: Exchange) -> None:
    async def run() -> None:
        wanted = options(exchange)
        # It would ask for positions of futures, which have an address of their own.
        wanted["options"]["watchPositions"] = {"fetchPositionsSnapshot": False}
        client = ccxt.pro.binance(wanted)
        try:
            await client.load_markets()
            await client.transfer("USDT", 1000, "spot", "cross")
            # Without a symbol, whose market would be spot's.
            watching = asyncio.ensure_future(client.watch_orders(params={"type": "margin"}))
            # Its subscription is confirmed by no call: orders until one is seen.
            while not watching.done():
                await client.create_order(SYMBOL, "limit", "buy", 10, 0.1, CROSS)
                await asyncio.wait([watching], timeout=0.2)
            orders = await watching
            assert (orders[-1]["symbol"], orders[-1]["status"], orders[-1]["side"]) == (SYMBOL, "open", "buy")
        finally:
            await client.close()

    asyncio.run(run())
