"""Rules of a symbol that change while gateways run: what is held to them, and who is told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import MachineLacks
from support.processes import Client, Exchange, Gateway, Refused, ended, eventually, trading

Desk = tuple[Exchange, Gateway]


@pytest.fixture(params=["spot", "usdt"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, machine_lacks: MachineLacks) -> Iterator[Desk]:
    """A lively exchange and a gateway of either market."""
    if shutil.which("openssl") is None:
        machine_lacks("no openssl")
    with trading(tmp_path, "--ticks-per-second=20", exe=request.param) as (exchange, gateway):
        yield exchange, gateway.start()


def control(desk: Desk, what: str, body: dict[str, object]) -> None:
    """A call of the control interface, of the gateway's market."""
    exchange, gateway = desk
    market = "futures/" if gateway.exe == "usdt" else ""
    exchange.control("POST", f"/control/{market}{what}", body)


def placed(desk: Desk) -> int:
    """Orders the exchange has taken of us."""
    file = "futures_orders" if desk[1].exe == "usdt" else "orders"
    lines = (desk[1].folder / "sim" / f"{file}.jsonl").read_text().splitlines()
    return sum('"event":"NEW"' in line for line in lines)


def product(client: Client) -> dict[str, Any]:
    """What the gateway takes for the rules."""
    return dict(client.call("products", symbols=["dogeusdt"])[0])


def outcome(client: Client, **wish: object) -> dict[str, Any]:
    """A resting order's first event."""
    order = client.order(side="BUY", type="LIMIT", **wish)
    frame = client.until(lambda f: f.get("event") == "order" and f["order"]["order_id"] == order)
    return dict(frame["order"])


def refused(client: Client, **wish: object) -> str:
    """Why the gateway itself does not send it."""
    with pytest.raises(Refused) as caught:
        client.order(side="BUY", type="LIMIT", **wish)
    return str(caught.value)


def test_r42_changed_filters_bind_and_are_told_while_everything_runs(desk: Desk) -> None:
    """A coarser grid and a larger least amount: what breaks them is refused here, the rest goes through."""
    _, gateway = desk
    trader, watcher = gateway.client(1), gateway.client(2)
    watcher.call("subscribe", streams=["dogeusdt@bbo"])
    before = product(trader)
    assert (before["tick_size"], before["lot"]) == ("0.00001", "1")
    assert outcome(trader, price="0.15003", qty="203")["state"] == "NEW"
    rules = {"symbol": "DOGEUSDT", "tick": "0.0005", "lot": "10", "min_notional": "25"}
    control(desk, "filters", rules)
    # The gateway cannot know yet: the exchange refuses, and that makes it read the rules again.
    assert outcome(trader, price="0.15003", qty="200")["state"] == "REJECTED"
    told = watcher.until(lambda frame: frame.get("event") == "products")["products"]
    assert [(row["symbol"], row["tick_size"], row["lot"]) for row in told] == [("dogeusdt", "0.0005", "10")]
    assert Decimal(told[0]["min_notional"]) == 25
    assert product(trader) == told[0]
    orders = placed(desk)
    assert "0.0005" in refused(trader, price="0.15003", qty="200")
    assert "10" in refused(trader, price="0.15", qty="205")
    assert "25" in refused(trader, price="0.15", qty="160")
    assert placed(desk) == orders, "nothing was sent"
    assert outcome(trader, price="0.1505", qty="210")["state"] == "NEW"
    # The order of before keeps its place off the new grid, and can be cancelled.
    trader.number += 1
    assert len(trader.call("cancel_all", n=trader.number - 1, symbol="dogeusdt")["order_ids"]) == 2


def test_r40_a_symbol_that_only_takes_cancels_takes_cancels(desk: Desk) -> None:
    """CANCEL_ONLY: the exchange refuses first, then the gateway by itself; what rests can be cancelled."""
    _, gateway = desk
    client = gateway.client(1)
    resting = outcome(client, price="0.15", qty="200")["order_id"]
    control(desk, "status", {"symbol": "DOGEUSDT", "status": "CANCEL_ONLY"})
    assert outcome(client, price="0.15", qty="200")["state"] == "REJECTED"
    eventually(lambda: product(client)["status"] == "CANCEL_ONLY", "the rules to be read again")
    orders = placed(desk)
    assert "not open for new orders" in refused(client, price="0.15", qty="200")
    assert placed(desk) == orders
    client.number += 1
    client.call("cancel", n=client.number - 1, order_id=resting)
    assert client.until(lambda frame: ended(frame, resting))["order"]["state"] == "CANCELED"
    control(desk, "status", {"symbol": "DOGEUSDT", "status": "TRADING"})
