"""Binance's official SDK for USDT-margined futures: REST, websocket API, streams, configured as meant."""

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
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    DerivativesTradingUsdsFutures,
)
from harness import SYMBOL, Exchange


def client(exchange: Exchange, kind: str) -> DerivativesTradingUsdsFutures:
    if kind == "hmac":
        keys = {"api_key": exchange.hmac_key, "api_secret": exchange.hmac_secret}
    else:
        keys = {"api_key": exchange.ed_key, "private_key": exchange.ed_pem}
    return DerivativesTradingUsdsFutures(
        config_rest_api=ConfigurationRestAPI(base_path=exchange.rest, **keys),
        config_ws_api=ConfigurationWebSocketAPI(stream_url=f"{exchange.streams}/ws-fapi/v1", **keys),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=exchange.streams),
    )


@pytest.mark.parametrize("kind", ["hmac", "ed25519"])
def test_rest(exchange: Exchange, kind: str) -> None:
    rest = client(exchange, kind).rest_api
    symbols = rest.exchange_information().data().symbols
    assert symbols is not None and len(symbols) == 5
    book = rest.order_book(symbol=SYMBOL, limit=20).data()
    assert (book.bids[0][0], book.asks[0][0]) == ("0.199990", "0.200010")

    placed = rest.new_order(
        symbol=SYMBOL, side="BUY", type="LIMIT", time_in_force="GTC", price=0.1, quantity=100
    ).data()
    assert placed.status == "NEW"
    number = placed.order_id
    assert [row.order_id for row in rest.current_all_open_orders(symbol=SYMBOL).data()] == [number]
    assert rest.query_order(symbol=SYMBOL, order_id=number).data().status == "NEW"
    changed = rest.modify_order(symbol=SYMBOL, order_id=number, side="BUY", quantity=120, price=0.11).data()
    assert changed.orig_qty == "120"
    canceled = rest.cancel_order(symbol=SYMBOL, order_id=number).data()
    assert (canceled.status, canceled.client_order_id) == ("CANCELED", placed.client_order_id)

    bought = rest.new_order(
        symbol=SYMBOL, side="BUY", type="MARKET", quantity=100, new_order_resp_type="RESULT"
    ).data()
    assert (bought.status, bought.executed_qty) == ("FILLED", "100")
    trades = rest.account_trade_list(symbol=SYMBOL).data()
    assert [(row.buyer, row.qty, row.commission_asset) for row in trades] == [(True, "100", "USDT")]
    positions = rest.position_information_v3(symbol=SYMBOL).data()
    assert [row.position_amt for row in positions] == ["100"]
    assert rest.account_information_v3().data().assets[0].asset == "USDT"
    assert rest.symbol_configuration(symbol=SYMBOL).data()[0].margin_type == "CROSSED"
    assert rest.futures_account_configuration().data().dual_side_position is False
    assert rest.user_commission_rate(symbol=SYMBOL).data().taker_commission_rate == "0.0005"
    assert len(rest.kline_candlestick_data(symbol=SYMBOL, interval="1m", limit=100).data()) == 100


def test_conditional_orders(exchange: Exchange) -> None:
    rest = client(exchange, "hmac").rest_api
    exchange.futures_house("BUY", "50", "0.21")
    placed = rest.new_algo_order(
        algo_type="CONDITIONAL",
        symbol=SYMBOL,
        side="SELL",
        type="STOP_MARKET",
        quantity=100,
        trigger_price=0.15,
    ).data()
    assert placed.algo_status == "NEW"
    open_orders = rest.current_all_algo_open_orders(symbol=SYMBOL).data()
    assert [row.algo_id for row in open_orders] == [placed.algo_id]
    assert rest.cancel_algo_order(algo_id=placed.algo_id).data().msg == "success"
    assert rest.query_algo_order(algo_id=placed.algo_id).data().algo_status == "CANCELED"


def test_refusals(exchange: Exchange) -> None:
    rest = client(exchange, "hmac").rest_api
    for quantity, price, words in [(1, 0.19, "notional"), (100, 0.22, "higher")]:
        with pytest.raises(BadRequestError, match=words):
            rest.new_order(
                symbol=SYMBOL, side="BUY", type="LIMIT", time_in_force="GTC", price=price, quantity=quantity
            )


def test_websocket_api(exchange: Exchange) -> None:
    async def run() -> None:
        api = client(exchange, "ed25519").websocket_api
        await api.create_connection()
        try:
            placed = (
                await api.new_order(
                    symbol=SYMBOL, side="SELL", type="LIMIT", time_in_force="GTC", price=0.21, quantity=60
                )
            ).data()
            number = placed.result.order_id
            found = (await api.query_order(symbol=SYMBOL, order_id=number)).data()
            assert found.result.status == "NEW"
            canceled = (await api.cancel_order(symbol=SYMBOL, order_id=number)).data()
            assert canceled.result.status == "CANCELED"
            assert (await api.order_book(symbol=SYMBOL, limit=5)).data().result.last_update_id > 0
        finally:
            await api.close_connection(close_session=True)

    asyncio.run(run())


def test_streams(exchange: Exchange) -> None:
    async def run() -> None:
        both = client(exchange, "hmac")
        key = both.rest_api.start_user_data_stream().data().listen_key
        streams = both.websocket_streams
        await streams.create_connection()
        try:
            lower = SYMBOL.lower()
            heard: asyncio.Queue[Any] = asyncio.Queue()
            for stream in [
                await streams.aggregate_trade_streams(symbol=lower),
                await streams.partial_book_depth_streams(symbol=lower, levels=5, update_speed="100ms"),
                await streams.kline_candlestick_streams(symbol=lower, interval="1m"),
                await streams.individual_symbol_book_ticker_streams(symbol=lower),
                await streams.user_data(key),
            ]:
                stream.on("message", heard.put_nowait)

            async def trade_on() -> None:
                # The client does not wait for the answer to its SUBSCRIBE: a trade may overtake it.
                while True:
                    both.rest_api.new_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity=100)
                    await asyncio.sleep(0.5)

            trading = asyncio.create_task(trade_on())
            # A busy client hands what several streams bring to the first one's listener.
            kinds: dict[str, Any] = {}
            market = ("AggregateTrade", "PartialBookDepth", "Kline", "IndividualSymbolBookTicker")
            # All of these, and what the account's own stream says.
            while sum(name.startswith(market) for name in kinds) < 4 or len(kinds) < 5:
                message = await asyncio.wait_for(heard.get(), 120)
                kinds.setdefault(type(message).__name__, message)
            trading.cancel()
            trade, book, bar, best = (
                next(message for name, message in kinds.items() if name.startswith(kind)) for kind in market
            )
            assert trade.e == "aggTrade" and int(trade.q) % 100 == 0
            assert len(book.b) == 5
            assert bar.k.i == "1m"
            assert best.s == SYMBOL
        finally:
            await streams.close_connection()

    asyncio.run(run())
