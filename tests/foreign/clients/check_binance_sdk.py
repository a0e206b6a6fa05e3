"""Binance's official SDK (binance-sdk-spot): REST, websocket API and streams, by its own configuration."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_common.errors import BadRequestError
from binance_sdk_spot.spot import Spot
from harness import SYMBOL, Exchange


def secrets(exchange: Exchange, kind: str) -> dict[str, Any]:
    if kind == "hmac":
        return {"api_key": exchange.hmac_key, "api_secret": exchange.hmac_secret}
    return {"api_key": exchange.ed_key, "private_key": exchange.ed_pem}


def client(exchange: Exchange, kind: str) -> Spot:
    keys = secrets(exchange, kind)
    return Spot(
        config_rest_api=ConfigurationRestAPI(base_path=exchange.rest, **keys),
        config_ws_api=ConfigurationWebSocketAPI(stream_url=exchange.ws_api, **keys),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=exchange.streams),
    )


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_rest(exchange: Exchange, kind: str) -> None:
    rest = client(exchange, kind).rest_api
    symbols = rest.exchange_info().data().symbols
    assert symbols is not None and len(symbols) == 5
    book = rest.depth(symbol=SYMBOL, limit=20).data()
    assert (book.bids[0][0], book.asks[0][0]) == ("0.19999000", "0.20001000")

    placed = rest.new_order(
        symbol=SYMBOL, side="BUY", type="LIMIT", time_in_force="GTC", price=0.1, quantity=10
    ).data()
    assert placed.status == "NEW"
    assert [row.order_id for row in rest.get_open_orders(symbol=SYMBOL).data()] == [placed.order_id]
    assert rest.get_order(symbol=SYMBOL, order_id=placed.order_id).data().status == "NEW"
    canceled = rest.delete_order(symbol=SYMBOL, order_id=placed.order_id).data()
    assert (canceled.status, canceled.orig_client_order_id) == ("CANCELED", placed.client_order_id)

    bought = rest.new_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity=100).data()
    assert (bought.status, bought.fills[0].commission) == ("FILLED", "0.10000000")
    exchange.price("0.2")
    resting = rest.new_order(
        symbol=SYMBOL, side="SELL", type="LIMIT", time_in_force="GTC", price=0.2, quantity=20
    ).data()
    exchange.house("BUY", "5", "0.2")
    half = rest.get_order(symbol=SYMBOL, order_id=resting.order_id).data()
    assert (half.status, half.executed_qty) == ("PARTIALLY_FILLED", "5.00000000")
    trades = rest.my_trades(symbol=SYMBOL).data()
    assert [(row.is_buyer, row.qty) for row in trades] == [(True, "100.00000000"), (False, "5.00000000")]
    balances = {row.asset: (row.free, row.locked) for row in rest.get_account().data().balances}
    assert balances["DOGE"] == ("200079.90000000", "15.00000000")
    assert len(rest.klines(symbol=SYMBOL, interval="1m", limit=100).data()) == 100
    amended = rest.order_amend_keep_priority(symbol=SYMBOL, new_qty=10, order_id=resting.order_id).data()
    assert amended.amended_order.qty == "10.00000000"
    commission = rest.account_commission(symbol=SYMBOL).data()
    assert commission.standard_commission.maker == "0.00100000"


def test_refusals(exchange: Exchange) -> None:
    rest = client(exchange, "hmac").rest_api
    for quantity, words in [(1, "NOTIONAL"), (5_000_000, "insufficient balance")]:
        with pytest.raises(BadRequestError, match=words):
            rest.new_order(
                symbol=SYMBOL, side="BUY", type="LIMIT", time_in_force="GTC", price=0.1, quantity=quantity
            )


def test_websocket_api_and_private_events(exchange: Exchange) -> None:
    async def run() -> None:
        api = client(exchange, "ed25519").websocket_api
        await api.create_connection()
        try:
            logon = (await api.session_logon()).data()
            assert logon.result.api_key == exchange.ed_key
            events: asyncio.Queue[Any] = asyncio.Queue()
            subscription = await api.user_data_stream_subscribe()
            subscription.stream.on("message", events.put_nowait)
            placed = (
                await api.order_place(
                    symbol=SYMBOL, side="SELL", type="LIMIT", time_in_force="GTC", price=0.2, quantity=20
                )
            ).data()
            number = placed.result.order_id
            exchange.house("BUY", "5", "0.2")
            found = (await api.order_status(symbol=SYMBOL, order_id=number)).data()
            assert found.result.status == "PARTIALLY_FILLED"
            canceled = (await api.order_cancel(symbol=SYMBOL, order_id=number)).data()
            assert canceled.result.status == "CANCELED"
            assert await executions(events) == ["NEW", "TRADE", "CANCELED"]
            trades = (await api.my_trades(symbol=SYMBOL)).data()
            assert [row.qty for row in trades.result] == ["5.00000000"]
            account = (await api.account_status(omit_zero_balances=True)).data()
            assert any(row.asset == "DOGE" for row in account.result.balances)
            book = (await api.depth(symbol=SYMBOL, limit=5)).data()
            assert len(book.result.bids) == 5
        finally:
            await api.close_connection(close_session=True)

    asyncio.run(run())


async def executions(events: asyncio.Queue[Any]) -> list[str]:
    """Execution types of the next three order events."""
    seen: list[str] = []
    while len(seen) < 3:
        event = await asyncio.wait_for(events.get(), 120)
        report = getattr(event, "actual_instance", event)
        kind = getattr(report, "x", None)
        if kind is not None:
            seen.append(kind)
    return seen


def test_streams(exchange: Exchange) -> None:
    async def run() -> None:
        streams = client(exchange, "hmac").websocket_streams
        await streams.create_connection()
        try:
            lower = SYMBOL.lower()
            heard: asyncio.Queue[Any] = asyncio.Queue()
            for stream in [
                await streams.trade(symbol=lower),
                await streams.partial_book_depth(symbol=lower, levels=5, update_speed="100ms"),
                await streams.kline(symbol=lower, interval="1s"),
                await streams.book_ticker(symbol=lower),
            ]:
                stream.on("message", heard.put_nowait)

            async def trade_on() -> None:
                # The client does not wait for the answer to its SUBSCRIBE: a trade may overtake it.
                while True:
                    exchange.house("BUY", "10", "0.3")
                    await asyncio.sleep(0.5)

            trading = asyncio.create_task(trade_on())
            # A busy client hands what several streams bring to the first one's listener.
            kinds: dict[str, Any] = {}
            while len(kinds) < 4:
                message = await asyncio.wait_for(heard.get(), 120)
                kinds.setdefault(type(message).__name__, message)
            trading.cancel()
            trade, book, bar, best = (
                next(message for name, message in kinds.items() if name.startswith(kind))
                for kind in ("Trade", "PartialBookDepth", "Kline", "BookTicker")
            )
            assert (trade.e, trade.q) == ("trade", "10.00000000")
            assert len(book.bids) == 5
            assert bar.k.i == "1s"
            assert best.s == SYMBOL
        finally:
            await streams.close_connection()

    asyncio.run(run())
