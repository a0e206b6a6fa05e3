"""ccxt, sync and async, its URLs pointed at the simulator."""

from __future__ import annotations

import asyncio
from typing import Any

import ccxt
import ccxt.pro
import pytest
from harness import Exchange

SYMBOL = "DOGE/USDT"


def options(exchange: Exchange, kind: str = "hmac") -> dict[str, Any]:
    """Constructor options: addresses, keys, and the spot market only."""
    key, secret = (
        (exchange.hmac_key, exchange.hmac_secret) if kind == "hmac" else (exchange.ed_key, exchange.ed_pem)
    )
    api = f"{exchange.rest}/api/v3"
    sapi = f"{exchange.rest}/sapi/v1"
    return {
        "apiKey": key,
        "secret": secret,
        "options": {"fetchMarkets": {"types": ["spot"]}, "defaultType": "spot"},
        "urls": {
            "api": {
                "public": api,
                "private": api,
                "v1": f"{exchange.rest}/api/v1",
                "sapi": sapi,
                # ccxt knows a spot stream by "/stream" in its address.
                "ws": {"spot": f"{exchange.streams}/stream/ws", "ws-api": {"spot": exchange.ws_api}},
            }
        },
    }


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_orders_and_queries(exchange: Exchange, kind: str) -> None:
    client = ccxt.binance(options(exchange, kind))
    markets = client.load_markets()
    assert len(markets) == 5
    market = markets[SYMBOL]
    assert market["precision"] == {"amount": 1.0, "price": 0.00001} | {
        name: value for name, value in market["precision"].items() if name not in ("amount", "price")
    }
    assert market["limits"]["cost"]["min"] == 1.0
    book = client.fetch_order_book(SYMBOL, 20)
    assert (book["bids"][0][0], book["asks"][0][0]) == (0.19999, 0.20001)
    assert len(book["bids"]) == 20

    order = client.create_order(SYMBOL, "limit", "buy", 10, 0.1)
    assert (order["status"], order["filled"]) == ("open", 0)
    assert [row["id"] for row in client.fetch_open_orders(SYMBOL)] == [order["id"]]
    assert client.fetch_order(order["id"], SYMBOL)["status"] == "open"
    assert client.cancel_order(order["id"], SYMBOL)["status"] == "canceled"
    assert client.fetch_open_orders(SYMBOL) == []

    bought = client.create_order(SYMBOL, "market", "buy", 100)
    assert (bought["status"], bought["filled"], bought["average"]) == ("closed", 100, 0.20001)
    assert bought["fees"] == [{"currency": "DOGE", "cost": 0.1}]

    exchange.price("0.2")
    resting = client.create_order(SYMBOL, "limit", "sell", 20, 0.2)
    exchange.house("BUY", "5", "0.2")
    half = client.fetch_order(resting["id"], SYMBOL)
    assert (half["status"], half["filled"], half["remaining"]) == ("open", 5, 15)
    trades = client.fetch_my_trades(SYMBOL)
    assert [(row["side"], row["amount"], row["takerOrMaker"]) for row in trades] == [
        ("buy", 100, "taker"),
        ("sell", 5, "maker"),
    ]
    assert trades[1]["fee"] == {"currency": "USDT", "cost": 0.001}
    assert len(client.fetch_orders(SYMBOL)) == 3
    balance = client.fetch_balance()
    assert balance["DOGE"] == {"free": 200079.9, "used": 15, "total": 200094.9}
    edited = client.edit_order(resting["id"], SYMBOL, "limit", "sell", 30, 0.25)
    assert (edited["status"], edited["amount"]) == ("open", 30)
    client.cancel_all_orders(SYMBOL)
    assert client.fetch_open_orders(SYMBOL) == []


def test_refusals(exchange: Exchange) -> None:
    client = ccxt.binance(options(exchange))
    client.load_markets()
    with pytest.raises(ccxt.InvalidOrder, match="LOT_SIZE"):
        client.create_order(SYMBOL, "limit", "buy", 10_000_000, 0.1)
    with pytest.raises(ccxt.BadRequest, match="NOTIONAL"):
        client.create_order(SYMBOL, "limit", "buy", 1, 0.1)
    with pytest.raises(ccxt.InsufficientFunds):
        client.create_order(SYMBOL, "limit", "buy", 5_000_000, 0.1)
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        client.create_order(SYMBOL, "limit", "buy", 10, 0.25, {"postOnly": True})
    with pytest.raises(ccxt.OrderNotFound):
        client.cancel_order("999999", SYMBOL)
    with pytest.raises(ccxt.OrderNotFound):
        client.fetch_order("999999", SYMBOL)
    wrong = ccxt.binance(options(exchange) | {"secret": "wrong"})
    with pytest.raises(ccxt.AuthenticationError):
        wrong.fetch_balance()


def test_public_queries(exchange: Exchange) -> None:
    client = ccxt.binance(options(exchange))
    exchange.house("BUY", "10", "0.21")
    assert client.fetch_ticker(SYMBOL)["last"] == 0.20001
    assert len(client.fetch_tickers()) == 5
    assert len(client.fetch_ohlcv(SYMBOL, "1m", limit=300)) == 300
    assert client.fetch_trades(SYMBOL)[-1]["amount"] == 10
    assert client.fetch_bids_asks([SYMBOL])[SYMBOL]["bid"] == 0.19999
    before, told = client.milliseconds(), client.fetch_time()
    assert before - 1000 < told < client.milliseconds() + 1000


def test_async_and_streams(exchange: Exchange) -> None:
    async def run() -> None:
        client = ccxt.pro.binance(options(exchange))
        try:
            await client.load_markets()
            book_soon = asyncio.create_task(client.watch_order_book(SYMBOL))
            trades_soon = asyncio.create_task(client.watch_trades(SYMBOL))
            bars_soon = asyncio.create_task(client.watch_ohlcv(SYMBOL, "1s"))
            orders_soon = asyncio.create_task(client.watch_orders(SYMBOL))
            await asyncio.sleep(0)
            await keep_trading_until(exchange, [book_soon, trades_soon, bars_soon])
            assert trades_soon.result()[-1]["price"] > 0
            assert bars_soon.result()[-1][5] >= 0
            assert book_soon.result()["bids"][0][0] < book_soon.result()["asks"][0][0]
            exchange.price("0.2")
            await until_seen(client, orders_soon)
            order = await client.create_order(SYMBOL, "limit", "sell", 20, 0.2)
            await order_in_state(client, order["id"], "open")
            exchange.house("BUY", "20", "0.2")
            mine = await asyncio.wait_for(client.watch_my_trades(SYMBOL), 120)
            assert (mine[-1]["order"], mine[-1]["amount"]) == (order["id"], 20)
            ended = await order_in_state(client, order["id"], "closed")
            assert ended["filled"] == 20
        finally:
            await client.close()

    asyncio.run(run())


async def keep_trading_until(exchange: Exchange, tasks: list[asyncio.Task[Any]]) -> None:
    """Trades now and then until every watch has seen something."""
    for _ in range(100):
        exchange.house("BUY", "10", "0.3")
        done, _ = await asyncio.wait(tasks, timeout=0.2)
        if len(done) == len(tasks):
            return
    raise AssertionError("a stream stayed silent")


async def until_seen(client: Any, watch: asyncio.Task[Any]) -> None:
    """Throw-away orders until the private subscription shows one."""
    for _ in range(100):
        order = await client.create_order(SYMBOL, "limit", "buy", 10, 0.1)
        await client.cancel_order(order["id"], SYMBOL)
        await asyncio.wait([watch], timeout=0.1)
        if watch.done():
            return
    raise AssertionError("no private event")


async def order_in_state(client: Any, wanted: str, status: str) -> Any:
    """The order once the private stream has shown it in a state."""
    for _ in range(50):
        known = [
            order for order in client.orders or [] if order["id"] == wanted and order["status"] == status
        ]
        if known:
            return known[0]
        await asyncio.wait_for(client.watch_orders(SYMBOL), 120)
    raise AssertionError(f"order {wanted} was never {status}")
