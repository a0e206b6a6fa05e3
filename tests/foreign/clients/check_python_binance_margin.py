"""python-binance on the cross-margin wallet, its addresses pointed at the simulator."""

from __future__ import annotations

import asyncio

import pytest
from binance.exceptions import BinanceAPIException
from check_python_binance import addresses, secrets
from harness import SYMBOL, Exchange

from binance import AsyncClient, BinanceSocketManager, Client

__all__ = ["addresses"]


def funded(exchange: Exchange, kind: str = "hmac") -> Client:
    """A client, and 1000 USDT in its margin wallet."""
    client = Client(**secrets(exchange, kind))
    moved = client.make_universal_transfer(type="MAIN_MARGIN", asset="USDT", amount="1000")
    assert moved["tranId"] == 1
    return client


def row(client: Client, asset: str) -> dict[str, str]:
    """An asset of the wallet."""
    assets = client.get_margin_account()["userAssets"]
    return next(row for row in assets if row["asset"] == asset)


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_orders_loans_and_queries(exchange: Exchange, kind: str) -> None:
    client = funded(exchange, kind)
    resting = client.create_margin_order(
        symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity=10, price="0.1"
    )
    assert (resting["status"], resting["isIsolated"]) == ("NEW", False)
    number = resting["orderId"]
    assert [order["orderId"] for order in client.get_open_margin_orders(symbol=SYMBOL)] == [number]
    assert client.get_margin_order(symbol=SYMBOL, orderId=number)["status"] == "NEW"
    canceled = client.cancel_margin_order(symbol=SYMBOL, orderId=number)
    assert (canceled["status"], canceled["origClientOrderId"]) == ("CANCELED", resting["clientOrderId"])
    sold = client.create_margin_order(
        symbol=SYMBOL, side="SELL", type="MARKET", quantity=1000, sideEffectType="MARGIN_BUY"
    )
    assert (sold["status"], sold["marginBuyBorrowAmount"], sold["marginBuyBorrowAsset"]) == (
        "FILLED",
        "1000",
        "DOGE",
    )
    assert row(client, "DOGE")["borrowed"] == "1000.00000000"
    assert [trade["qty"] for trade in client.get_margin_trades(symbol=SYMBOL)] == ["1000.00000000"]
    assert len(client.get_all_margin_orders(symbol=SYMBOL)) == 2
    # Its older calls for loans are those of endpoints the venue has retired.
    loan = client.margin_borrow_repay
    loan(asset="USDT", amount="100", type="BORROW")
    assert row(client, "USDT")["borrowed"] == "100.00000000"
    loan(asset="USDT", amount="100", type="REPAY")
    assert row(client, "USDT")["borrowed"] == "0.00000000"
    assert float(client.get_max_margin_loan(asset="USDT")["amount"]) > 0
    with pytest.raises(BinanceAPIException) as refused:
        loan(asset="USDT", amount="90000", type="BORROW")
    assert refused.value.code == -3006
    with pytest.raises(BinanceAPIException) as refused:
        client.create_margin_order(
            symbol=SYMBOL, side="SELL", type="MARKET", quantity=1000, isIsolated="TRUE"
        )
    assert refused.value.code == -11001


def test_private_events(exchange: Exchange) -> None:
    funded(exchange)

    async def run() -> None:
        client = await AsyncClient.create(**secrets(exchange, "hmac"))
        try:
            async with BinanceSocketManager(client).margin_socket() as socket:
                await client.create_margin_order(
                    symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity=10, price="0.1"
                )
                event = await asyncio.wait_for(socket.recv(), 120)
                while event.get("e") != "executionReport":
                    event = await asyncio.wait_for(socket.recv(), 120)
                assert (event["s"], event["X"]) == (SYMBOL, "NEW")
        finally:
            await client.close_connection()

    asyncio.run(run())
