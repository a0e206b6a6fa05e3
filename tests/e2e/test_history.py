"""A history and the live bars after it, on both markets: one unbroken line, each bar once."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.processes import Exchange, Gateway, trading

MILLI = 1_000_000
Bar = dict[str, Any]
Desk = tuple[Exchange, Gateway]


@pytest.fixture
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """A lively exchange and a gateway of either market."""
    with trading(tmp_path, "--ticks-per-second=50", exe=request.param) as (exchange, gateway):
        yield exchange, gateway.start()


def facts(bar: Bar) -> tuple[int, *tuple[Decimal, ...]]:
    """Start, open, high, low, close, volume."""
    numbers = (Decimal(bar[name]) for name in ("open", "high", "low", "close", "volume"))
    return (bar["start"] // MILLI, *numbers)


@pytest.mark.parametrize(
    ("desk", "interval", "closings"), [("spot", "1s", 6), ("usdt", "1m", 1)], indirect=["desk"]
)
def test_row_002_75_a_history_and_the_live_bars_join(desk: Desk, interval: str, closings: int) -> None:
    """Though the streams are cut in between: none is missing, none comes twice."""
    exchange, gateway = desk
    client = gateway.client(1)
    stream = f"dogeusdt@kline:{interval}"
    client.call("subscribe", streams=[stream])
    history = client.call("history", symbol="dogeusdt", interval=interval, count=5)
    past = [bar for bar in history if bar["closed"]]
    cut = {"fault": "connection.abort", "side": "streams"}
    refuse = {"fault": "connection.refuse", "for_ms": 1_500}
    exchange.control("POST", "/control/faults", [refuse, cut])
    live: list[Bar] = []
    while len(live) < closings:
        frame = client.until(lambda frame: frame.get("stream") == stream and "data" in frame)
        if frame["data"]["closed"]:
            live.append(frame["data"])
    after = [bar for bar in live if bar["start"] > past[-1]["start"]]
    assert live[-1] in after
    line = past + after
    starts = [bar["start"] for bar in line]
    length = past[1]["start"] - past[0]["start"]
    assert starts == list(range(starts[0], starts[-1] + 1, length)), "one is missing, or comes twice"
    assert len({bar["start"] for bar in live}) == len(live), "told twice"
    path = "/api/v3/klines" if gateway.exe == "spot" else "/fapi/v1/klines"
    rows = exchange.control("GET", f"{path}?symbol=DOGEUSDT&interval={interval}&limit=1000")
    real = {row[0]: (row[0], *map(Decimal, row[1:6])) for row in rows}
    assert [facts(bar) for bar in line] == [real[bar["start"] // MILLI] for bar in line]
