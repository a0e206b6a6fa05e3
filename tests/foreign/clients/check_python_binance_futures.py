"""python-binance on futures, sync and async, its addresses pointed at the simulator."""

from __future__ import annotations

import asyncio
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
        monkeypatch.setattr(client, "FUTURES_URL", f"{exchange.rest}/fapi")
        monkeypatch.setattr(client, "WS_API_URL", exchange.ws_api)
        monkeypatch.setattr(client, "WS_FUTURES_URL", f"{exchange.streams}/ws-fapi/v1")
    monkeypatch.setattr(BinanceSocketManager, "STREAM_URL", f"{exchange.streams}/")
    monkeypatch.setattr(BinanceSocketManager, "FSTREAM_URL", f"{exchange.streams}/")


def secrets(exchange: Exchange, kind: str) -> dict[str, Any]:
    if kind == "hmac":
        return {"api_key": exchange.hmac_key, "api_secret": exchange.hmac_secret}
    return {"api_key": exchange.ed_key, "private_key": exchange.ed_pem}


def limit(side: str, quantity: int, price: str) -> dict[str, Any]:
    return {
        "symbol": SYMBOL,
        "side": side,
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": quantity,
        "price": price,
    }


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_orders_and_queries(exchange: Exchange, kind: str) -> None:
    client = Client(**secrets(exchange, kind))
    assert len(client.futures_exchange_info()["symbols"]) == 5
    book = client.futures_order_book(symbol=SYMBOL, limit=20)
    assert (book["bids"][0][0], book["asks"][0][0]) == ("0.199990", "0.200010")

    order = client.futures_create_order(**limit("BUY", 100, "0.1"))
    assert order["status"] == "NEW"
    number = order["orderId"]
    assert [row["orderId"] for row in client.futures_get_open_orders(symbol=SYMBOL)] == [number]
    assert client.futures_get_order(symbol=SYMBOL, orderId=number)["status"] == "NEW"
    canceled = client.futures_cancel_order(symbol=SYMBOL, orderId=number)
    assert (canceled["status"], canceled["clientOrderId"]) == ("CANCELED", order["clientOrderId"])

    bought = client.futures_create_order(
        symbol=SYMBOL, side="BUY", type="MARKET", quantity=100, newOrderRespType="RESULT"
    )
    assert (bought["status"], bought["executedQty"]) == ("FILLED", "100")
    exchange.price("0.2")
    resting = client.futures_create_order(**limit("SELL", 60, "0.2"))
    exchange.futures_house("BUY", "50", "0.2")
    half = client.futures_get_order(symbol=SYMBOL, origClientOrderId=resting["clientOrderId"])
    assert (half["status"], half["executedQty"]) == ("PARTIALLY_FILLED", "50")
    trades = client.futures_account_trades(symbol=SYMBOL)
    assert [(row["buyer"], row["qty"]) for row in trades] == [(True, "100"), (False, "50")]
    positions = client.futures_position_information(symbol=SYMBOL)
    assert [row["positionAmt"] for row in positions] == ["50"]
    assert client.futures_account_balance()[0]["asset"] == "USDT"
    assert client.futures_account()["positions"][0]["symbol"] == SYMBOL
    assert len(client.futures_klines(symbol=SYMBOL, interval="1m", limit=100)) == 100
    assert client.futures_change_leverage(symbol=SYMBOL, leverage=10)["leverage"] == 10
    assert client.futures_cancel_all_open_orders(symbol=SYMBOL)["code"] == 200


def test_refusals(exchange: Exchange) -> None:
    client = Client(**secrets(exchange, "hmac"))
    for order, code in [
        (limit("BUY", 1, "0.19"), -4164),
        (limit("BUY", 100, "0.22"), -4016),
        (limit("BUY", 100, "0.1900001"), -1111),
    ]:
        with pytest.raises(BinanceAPIException) as refusal:
            client.futures_create_order(**order)
        assert refusal.value.code == code
    wrong = Client(api_key=exchange.hmac_key, api_secret="wrong")
    with pytest.raises(BinanceAPIException) as refusal:
        wrong.futures_account()
    assert refusal.value.code == -1022


def test_streams(exchange: Exchange) -> None:
    async def run() -> None:
        client = await AsyncClient.create(**secrets(exchange, "hmac"))
        try:
            manager = BinanceSocketManager(client)
            async with manager.futures_user_socket() as socket:
                order = await client.futures_create_order(**limit("SELL", 60, "0.2"))
                exchange.futures_house("BUY", "50", "0.2")
                await client.futures_cancel_order(symbol=SYMBOL, orderId=order["orderId"])
                seen = []
                while len(seen) < 3:
                    event = await asyncio.wait_for(socket.recv(), 120)
                    if event["e"] == "ORDER_TRADE_UPDATE":
                        seen.append((event["o"]["x"], event["o"]["X"]))
                assert seen == [("NEW", "NEW"), ("TRADE", "PARTIALLY_FILLED"), ("CANCELED", "CANCELED")]
                asyncio.get_running_loop().call_later(
                    0.2, exchange.control, "futures/transfer", {"account": "hmac", "amount": "1"}
                )
        finally:
            await client.close_connection()

    asyncio.run(run())
