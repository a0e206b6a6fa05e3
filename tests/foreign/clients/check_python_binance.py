"""python-binance, sync and async, its addresses pointed at the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from binance.exceptions import BinanceAPIException
from harness import SYMBOL, Exchange

from binance import AsyncClient, BinanceSocketManager, Client


@pytest.fixture(autouse=True)
def addresses(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented class attributes that hold the addresses."""
    for client in (Client, AsyncClient):
        monkeypatch.setattr(client, "API_URL", f"{exchange.rest}/api")
        monkeypatch.setattr(client, "MARGIN_API_URL", f"{exchange.rest}/sapi")
        monkeypatch.setattr(client, "WS_API_URL", exchange.ws_api)
    monkeypatch.setattr(BinanceSocketManager, "STREAM_URL", f"{exchange.streams}/")


def secrets(exchange: Exchange, kind: str) -> dict[str, Any]:
    if kind == "hmac":
        return {"api_key": exchange.hmac_key, "api_secret": exchange.hmac_secret}
    return {"api_key": exchange.ed_key, "private_key": exchange.ed_pem}


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_orders_and_queries(exchange: Exchange, kind: str) -> None:
    client = Client(**secrets(exchange, kind))
    info = client.get_symbol_info(SYMBOL)
    assert info is not None and info["filters"][0]["tickSize"] == "0.00001000"
    assert len(client.get_exchange_info()["symbols"]) == 5
    book = client.get_order_book(symbol=SYMBOL, limit=20)
    assert (book["bids"][0][0], book["asks"][0][0]) == ("0.19999000", "0.20001000")

    order = client.order_limit_buy(symbol=SYMBOL, quantity=10, price="0.1")
    assert order["status"] == "NEW"
    assert [row["orderId"] for row in client.get_open_orders(symbol=SYMBOL)] == [order["orderId"]]
    assert client.get_order(symbol=SYMBOL, orderId=order["orderId"])["status"] == "NEW"
    canceled = client.cancel_order(symbol=SYMBOL, orderId=order["orderId"])
    assert (canceled["status"], canceled["origClientOrderId"]) == ("CANCELED", order["clientOrderId"])

    bought = client.order_market_buy(symbol=SYMBOL, quantity=100)
    assert (bought["status"], bought["fills"][0]["commission"]) == ("FILLED", "0.10000000")
    exchange.price("0.2")
    resting = client.order_limit_sell(symbol=SYMBOL, quantity=20, price="0.2")
    exchange.house("BUY", "5", "0.2")
    half = client.get_order(symbol=SYMBOL, origClientOrderId=resting["clientOrderId"])
    assert (half["status"], half["executedQty"]) == ("PARTIALLY_FILLED", "5.00000000")
    trades = client.get_my_trades(symbol=SYMBOL)
    assert [(row["isBuyer"], row["qty"]) for row in trades] == [(True, "100.00000000"), (False, "5.00000000")]
    assert client.get_asset_balance(asset="DOGE") == {
        "asset": "DOGE",
        "free": "200079.90000000",
        "locked": "15.00000000",
    }
    assert len(client.get_all_orders(symbol=SYMBOL)) == 3
    assert client.create_test_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity=10) == {}
    assert len(client.get_klines(symbol=SYMBOL, interval="1m", limit=100)) == 100
    assert client.get_recent_trades(symbol=SYMBOL)[-1]["qty"] == "5.00000000"
    assert client.get_symbol_ticker(symbol=SYMBOL)["price"] == "0.20000000"
    assert len(client.get_ticker()) == 5


def test_refusals(exchange: Exchange) -> None:
    client = Client(**secrets(exchange, "hmac"))
    for order, code in [
        ({"quantity": 1, "price": "0.1"}, -1013),
        ({"quantity": 5_000_000, "price": "0.1"}, -2010),
        ({"quantity": 10, "price": "0.123456"}, -1013),
    ]:
        with pytest.raises(BinanceAPIException) as refusal:
            client.order_limit_buy(symbol=SYMBOL, **order)
        assert refusal.value.code == code
    wrong = Client(api_key=exchange.hmac_key, api_secret="wrong")
    with pytest.raises(BinanceAPIException) as refusal:
        wrong.get_account()
    assert refusal.value.code == -1022
    with pytest.raises(BinanceAPIException) as refusal:
        client.create_oco_order(
            symbol=SYMBOL,
            side="SELL",
            quantity=10,
            aboveType="LIMIT_MAKER",
            abovePrice="0.3",
            belowType="STOP_LOSS",
            belowStopPrice="0.1",
        )
    assert refusal.value.code == -2010


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_async_streams_and_websocket_api(exchange: Exchange, kind: str) -> None:
    async def run() -> None:
        client = await AsyncClient.create(**secrets(exchange, kind))
        try:
            await watch_market(exchange, client)
            await watch_account(exchange, client)
            await trade_by_websocket(client)
        finally:
            await client.close_connection()

    asyncio.run(run())


async def watch_market(exchange: Exchange, client: AsyncClient) -> None:
    manager = BinanceSocketManager(client)
    lower = SYMBOL.lower()
    names = [f"{lower}@depth5@100ms", f"{lower}@trade", f"{lower}@kline_1s", f"{lower}@bookTicker"]
    seen: dict[str, Any] = {}
    async with manager.multiplex_socket(names) as socket:
        while len(seen) < len(names):
            exchange.house("BUY", "10", "0.3")
            # The client holds a hundred frames and no more, so it is read dry after every trade.
            while frame := await frame_within(socket, 0.3):
                seen[frame["stream"]] = frame["data"]
    assert sorted(seen) == sorted(names)
    assert len(seen[names[0]]["bids"]) == 5
    async with manager.trade_socket(SYMBOL) as socket:
        exchange.house("BUY", "10", "0.3")
        assert (await asyncio.wait_for(socket.recv(), 120))["e"] == "trade"
        soon(exchange.house, "BUY", "10", "0.3")


def soon(act: Callable[..., Any], *arguments: Any) -> None:
    """Something will happen after the socket was left: the client's loop waits for a frame before it ends."""
    asyncio.get_running_loop().call_later(0.2, act, *arguments)


async def frame_within(socket: Any, seconds: float) -> Any:
    """The next frame, or nothing after so many seconds."""
    try:
        return await asyncio.wait_for(socket.recv(), seconds)
    except TimeoutError:
        return None


async def watch_account(exchange: Exchange, client: AsyncClient) -> None:
    exchange.price("0.2")
    async with BinanceSocketManager(client).user_socket() as socket:
        order = await client.order_limit_sell(symbol=SYMBOL, quantity=20, price="0.2")
        exchange.house("BUY", "5", "0.2")
        await client.cancel_order(symbol=SYMBOL, orderId=order["orderId"])
        executions = []
        while len(executions) < 3:
            event = await asyncio.wait_for(socket.recv(), 120)
            event = event.get("event", event)
            if event["e"] == "executionReport":
                executions.append((event["x"], event["X"], event["i"]))
        number = order["orderId"]
        assert executions == [
            ("NEW", "NEW", number),
            ("TRADE", "PARTIALLY_FILLED", number),
            ("CANCELED", "CANCELED", number),
        ]
        soon(exchange.control, "transfer", {"account": "hmac", "asset": "USDT", "amount": "1"})
        soon(exchange.control, "transfer", {"account": "ed", "asset": "USDT", "amount": "1"})


async def trade_by_websocket(client: AsyncClient) -> None:
    order = await client.ws_order_limit_buy(symbol=SYMBOL, quantity=10, price="0.1")
    assert order["status"] == "NEW"
    found = await client.ws_get_order(symbol=SYMBOL, orderId=order["orderId"])
    assert found["status"] == "NEW"
    canceled = await client.ws_cancel_order(symbol=SYMBOL, orderId=order["orderId"])
    assert canceled["status"] == "CANCELED"
    assert (await client.ws_get_account())["accountType"] == "SPOT"
    assert (await client.ws_get_order_book(symbol=SYMBOL))["lastUpdateId"] > 0
