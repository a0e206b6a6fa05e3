"""ccxt's binanceusdm, sync and async, its URLs pointed at the simulator."""

from __future__ import annotations

import asyncio
from typing import Any

import ccxt
import ccxt.pro
import pytest
from harness import Exchange

SYMBOL = "DOGE/USDT:USDT"


def options(exchange: Exchange, kind: str = "hmac") -> dict[str, Any]:
    """Constructor options: addresses, keys, and linear markets only."""
    key, secret = (
        (exchange.hmac_key, exchange.hmac_secret) if kind == "hmac" else (exchange.ed_key, exchange.ed_pem)
    )
    fapi = f"{exchange.rest}/fapi"
    api: dict[str, Any] = {
        name: f"{fapi}/{version}"
        for name, version in [
            ("fapiPublic", "v1"),
            ("fapiPublicV2", "v2"),
            ("fapiPublicV3", "v3"),
            ("fapiPrivate", "v1"),
            ("fapiPrivateV2", "v2"),
            ("fapiPrivateV3", "v3"),
        ]
    }
    api["sapi"] = f"{exchange.rest}/sapi/v1"
    # ccxt gives a linear stream its route if the address ends in "/ws".
    api["ws"] = {
        "linear": f"{exchange.streams}/ws",
        "ws-api": {"linear": f"{exchange.streams}/ws-fapi/v1"},
    }
    return {
        "apiKey": key,
        "secret": secret,
        "options": {"fetchMarkets": {"types": ["linear"]}, "fetchCurrencies": False, "fetchMargins": False},
        "urls": {"api": api},
    }


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_orders_and_queries(exchange: Exchange, kind: str) -> None:
    client = ccxt.binanceusdm(options(exchange, kind))
    markets = client.load_markets()
    assert len(markets) == 5
    market = markets[SYMBOL]
    assert (market["precision"]["amount"], market["precision"]["price"]) == (1.0, 0.00001)
    assert (market["limits"]["cost"]["min"], market["linear"], market["swap"]) == (5.0, True, True)
    book = client.fetch_order_book(SYMBOL, 20)
    assert (book["bids"][0][0], book["asks"][0][0]) == (0.19999, 0.20001)

    order = client.create_order(SYMBOL, "limit", "buy", 100, 0.1)
    assert (order["status"], order["filled"]) == ("open", 0)
    assert [row["id"] for row in client.fetch_open_orders(SYMBOL)] == [order["id"]]
    assert client.fetch_order(order["id"], SYMBOL)["status"] == "open"
    edited = client.edit_order(order["id"], SYMBOL, "limit", "buy", 120, 0.11)
    assert edited["amount"] == 120
    assert client.cancel_order(order["id"], SYMBOL)["status"] == "canceled"
    assert client.fetch_open_orders(SYMBOL) == []

    bought = client.create_order(SYMBOL, "market", "buy", 100)
    assert (bought["status"], bought["filled"]) == ("closed", 100)
    assert client.fetch_order(bought["id"], SYMBOL)["average"] == 0.20001
    exchange.price("0.2")
    resting = client.create_order(SYMBOL, "limit", "sell", 60, 0.2)
    exchange.futures_house("BUY", "50", "0.2")
    half = client.fetch_order(resting["id"], SYMBOL)
    assert (half["status"], half["filled"], half["remaining"]) == ("open", 50, 10)
    trades = client.fetch_my_trades(SYMBOL)
    assert [(row["side"], row["amount"], row["takerOrMaker"]) for row in trades] == [
        ("buy", 100, "taker"),
        ("sell", 50, "maker"),
    ]
    assert trades[1]["fee"] == {"currency": "USDT", "cost": 0.002}
    positions = client.fetch_positions([SYMBOL])
    assert [(row["side"], row["contracts"]) for row in positions] == [("long", 50)]
    assert client.fetch_balance()["USDT"]["total"] < 100_000
    client.cancel_all_orders(SYMBOL)
    assert client.fetch_open_orders(SYMBOL) == []
    assert len(client.fetch_orders(SYMBOL)) == 3


def test_conditional_orders(exchange: Exchange) -> None:
    client = ccxt.binanceusdm(options(exchange))
    client.load_markets()
    exchange.futures_house("BUY", "50", "0.21")
    stop = client.create_order(SYMBOL, "market", "sell", 100, None, {"stopPrice": 0.15})
    assert stop["status"] == "open"
    client.cancel_order(stop["id"], SYMBOL, {"trigger": True})


def test_settings(exchange: Exchange) -> None:
    client = ccxt.binanceusdm(options(exchange))
    client.load_markets()
    assert client.set_leverage(10, SYMBOL)["leverage"] == 10
    client.set_position_mode(True)
    assert client.fetch_position_mode()["hedged"] is True
    assert client.fetch_leverages([SYMBOL])[SYMBOL]["longLeverage"] == 10
    assert client.fetch_trading_fee(SYMBOL)["taker"] == 0.0005


def test_refusals(exchange: Exchange) -> None:
    client = ccxt.binanceusdm(options(exchange))
    client.load_markets()
    # On other hosts than the venue's, ccxt knows codes of futures only from its general table.
    for amount, price, words in [(1, 0.19, "-4164"), (100, 0.22, "-4016")]:
        with pytest.raises(ccxt.BaseError, match=words):
            client.create_order(SYMBOL, "limit", "buy", amount, price)
    with pytest.raises(ccxt.BaseError, match="-5022"):
        client.create_order(SYMBOL, "limit", "buy", 100, 0.205, {"postOnly": True})
    with pytest.raises(ccxt.OrderNotFound):
        client.cancel_order("999999", SYMBOL)
    wrong = ccxt.binanceusdm(options(exchange) | {"secret": "wrong"})
    with pytest.raises(ccxt.AuthenticationError):
        wrong.fetch_balance()


def test_public_queries(exchange: Exchange) -> None:
    client = ccxt.binanceusdm(options(exchange))
    exchange.futures_house("BUY", "50", "0.21")
    assert client.fetch_ticker(SYMBOL)["last"] == 0.20001
    assert len(client.fetch_ohlcv(SYMBOL, "1m", limit=300)) == 300
    # Trades of 100 ms are told as one, so the last ones are not told yet.
    while not (trades := client.fetch_trades(SYMBOL)):
        pass
    assert trades[-1]["amount"] == 50
    assert client.fetch_funding_rate(SYMBOL)["markPrice"] > 0
    before, told = client.milliseconds(), client.fetch_time()
    assert before - 1000 < told < client.milliseconds() + 1000


def test_async_and_streams(exchange: Exchange) -> None:
    async def run() -> None:
        client = ccxt.pro.binanceusdm(options(exchange))
        try:
            await client.load_markets()
            watches = [
                asyncio.create_task(client.watch_order_book(SYMBOL)),
                asyncio.create_task(client.watch_trades(SYMBOL)),
                asyncio.create_task(client.watch_ohlcv(SYMBOL, "1m")),
            ]
            orders_soon = asyncio.create_task(client.watch_orders(SYMBOL))
            await asyncio.sleep(0)
            for _ in range(100):
                exchange.futures_house("BUY", "50", "0.3")
                done, _ = await asyncio.wait(watches, timeout=0.2)
                if len(done) == len(watches):
                    break
            book, trades, _ = [watch.result() for watch in watches]
            assert book["bids"][0][0] < book["asks"][0][0]
            assert trades[-1]["price"] > 0
            exchange.price("0.2")
            for _ in range(100):
                order = await client.create_order(SYMBOL, "limit", "buy", 100, 0.1)
                await client.cancel_order(order["id"], SYMBOL)
                await asyncio.wait([orders_soon], timeout=0.1)
                if orders_soon.done():
                    break
            order = await client.create_order(SYMBOL, "limit", "sell", 60, 0.2)
            exchange.futures_house("BUY", "60", "0.2")
            mine = await asyncio.wait_for(client.watch_my_trades(SYMBOL), 120)
            assert (mine[-1]["order"], mine[-1]["amount"]) == (order["id"], 60)
        finally:
            await client.close()

    asyncio.run(run())
