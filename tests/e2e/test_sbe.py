"""Best prices and books in binary over real processes, and the way back to JSON."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from e2e.test_book_faults import Reader
from support.processes import Exchange, Frame, Gateway, trading

BBO, FAST, BOOK = "dogeusdt@bbo", "dogeusdt@depth:100ms", "dogeusdt@book"
Desk = tuple[Exchange, Gateway]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A lively exchange that is served in binary, and a gateway not yet started."""
    with trading(tmp_path, "--ticks-per-second=50") as (exchange, gateway):
        gateway.config["endpoints"] |= {"sbe": exchange.listening["sbe"]}
        gateway.write_config()
        yield exchange, gateway


def levels(rows: Any) -> list[tuple[Decimal, Decimal]]:
    """Prices and quantities as numbers."""
    return [(Decimal(price), Decimal(qty)) for price, qty in rows]


def is_best(frame: Frame) -> bool:
    """Are these best prices?"""
    return frame.get("stream") == BBO and "data" in frame


def in_binary(frame: Frame) -> bool:
    """Best prices with the exchange's own time: it is given in whole microseconds, and JSON has none."""
    return bool(frame["data"]["time"] % 1_000 == 0)


def await_binary(reader: Reader) -> None:
    """Best prices come in binary: one time of receipt in a thousand looks so, not five in a row."""
    row = 0
    while row < 5:
        frame = reader.client.until(lambda frame: frame.get("stream") in (BBO, BOOK))
        reader.take(frame)
        if is_best(frame):
            row = row + 1 if in_binary(frame) else 0


def shown_by(exchange: Exchange) -> dict[str, Any]:
    """The exchange's best 20 levels."""
    return dict(exchange.control("GET", "/api/v3/depth?symbol=DOGEUSDT&limit=20"))


def reached(desk: Desk, reader: Reader) -> None:
    """The gateway's book, some changes later, is the exchange's at the same update."""
    for _ in range(200):
        theirs = shown_by(desk[0])
        while reader.update_id < theirs["lastUpdateId"]:
            reader.take(reader.client.until(lambda frame: frame.get("stream") == BOOK))
        if reader.update_id == theirs["lastUpdateId"]:
            bids, asks = reader.sides
            assert sorted(bids.items(), reverse=True)[:20] == levels(theirs["bids"])
            assert sorted(asks.items())[:20] == levels(theirs["asks"])
            return
    pytest.fail("the book was never at an update of the exchange's answer")


def test_quotes_and_books_in_binary_are_the_exchanges(desk: Desk) -> None:
    """The book is the exchange's own, level by level, and no best price contradicts it."""
    _, gateway = desk
    gateway.start()
    reader = Reader(gateway.client(1))
    await_binary(reader)
    reader.until_good(changes=60)
    reached(desk, reader)
    reader.client.call("subscribe", streams=[FAST])
    seen: dict[int, Frame] = {}
    while reader.update_id not in seen:
        frame = reader.client.until(lambda frame: "data" in frame)
        reader.take(frame)
        if frame.get("stream") == FAST:
            data = frame["data"]
            seen[data["update_id"]] = data
    bids, asks = reader.sides
    shown = seen[reader.update_id]
    assert levels(shown["bids"]) == sorted(bids.items(), reverse=True)[:20]
    assert levels(shown["asks"]) == sorted(asks.items())[:20]
    assert all(in_binary(reader.client.until(is_best)) for _ in range(5))
    assert len(gateway.await_logged("sbe streams are on", "/sbe")) == 1
    assert gateway.logged("sbe streams are off") == []


def test_a_key_that_is_refused_gets_json(desk: Desk) -> None:
    """Another address of the exchange that refuses: one line in the log, and data all the same."""
    _, gateway = desk
    gateway.config["endpoints"]["sbe"] = gateway.config["endpoints"]["sbe"].replace("/sbe", "/nowhere")
    gateway.write_config()
    gateway.start()
    reader = Reader(gateway.client(1))
    reader.until_good(changes=60)
    reached(desk, reader)
    assert len(gateway.await_logged("sbe streams are off", "HTTP 404")) == 1
    assert gateway.logged("sbe streams are on") == []


def test_an_unknown_schema_gets_json_and_a_later_version_is_read(desk: Desk) -> None:
    """First blocks that are longer, which change nothing; then frames that may mean anything."""
    exchange, gateway = desk
    exchange.control("POST", "/control/faults", [{"fault": "frame.field", "stream": "dogeusdt@depth"}])
    exchange.control("POST", "/control/faults", [{"fault": "frame.field", "stream": "dogeusdt@bestBidAsk"}])
    gateway.start()
    reader = Reader(gateway.client(1))
    await_binary(reader)
    reader.until_good(changes=60)
    assert gateway.logged("sbe streams are off") == []
    exchange.control("DELETE", "/control/faults")
    exchange.control("POST", "/control/faults", [{"fault": "frame.enum", "stream": "dogeusdt@depth"}])
    assert "schema 2 version 0 is not known" in reader.until_stale()
    reader.until_good(changes=60)
    reached(desk, reader)
    assert len(gateway.await_logged("sbe streams are off", "schema 2")) == 1
