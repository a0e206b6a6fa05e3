"""A day of funding over real processes: each share is what plain decimals make of the exchange's files."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import MachineLacks
from support.futures import Account
from support.processes import Client, Exchange, Gateway, ended, eventually, trading, whole_lines
from support.reckoning import EXTERNAL, Reckoning, reckon

BTC = "BTCUSDT"
# A funding time every five seconds: the gateway is told nothing of that, it learns the interval as ever.
INTERVAL_MS = 5_000
Desk = tuple[Exchange, Gateway, Account]


@pytest.fixture
def desk(tmp_path: Path, machine_lacks: MachineLacks) -> Iterator[Desk]:
    """An exchange, a gateway that runs, and the account's owner."""
    if shutil.which("openssl") is None:
        machine_lacks("no openssl")
    options = ("--ticks-per-second=20", "--order-limit=100000", "--weight-limit=1000000")
    with trading(tmp_path, *options, exe="usdt") as (exchange, gateway):
        yield exchange, gateway.start(), Account(tmp_path, exchange)


def fundings(account: Account) -> list[dict[str, Any]]:
    """Of the contract, as the exchange wrote them down."""
    return [row for row in whole_lines(account.folder / "sim" / "funding.jsonl") if row["symbol"] == BTC]


def set_rate(exchange: Exchange, rate: str) -> None:
    """From the next funding time on."""
    funding = {"symbol": BTC, "rate": rate, "interval_ms": INTERVAL_MS}
    exchange.control("POST", "/control/futures/funding", funding)


def next_funding(account: Account) -> dict[str, Any]:
    """The next one, once it has happened."""
    before = len(fundings(account))
    return dict(eventually(lambda: fundings(account)[before:], "the next funding time")[0])


def trade(client: Client, side: str, qty: str) -> str:
    """An order at the market, filled; its id."""
    order = client.order("btcusdt", side, type="MARKET", qty=qty)
    assert client.until(lambda frame: ended(frame, order))["order"]["state"] == "FILLED"
    return order


def recorded(gateway: Gateway, time_ms: int) -> list[tuple[Any, ...]]:
    """The journal's rows of a funding."""
    return gateway.sql(f"SELECT paid FROM funding WHERE time={time_ms * 1_000_000}", "journal.db")


def charged(gateway: Gateway) -> dict[int, dict[str, Decimal]]:
    """What the journal booked for each owner, by funding time: first shares and corrections together."""
    text = "SELECT owner, time, delta FROM charge WHERE charge='funding'"
    sums: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for owner, time, delta in gateway.sql(text, "journal.db"):
        sums[time // 1_000_000][str(owner)] += Decimal(delta)
    return {time: {who: share for who, share in of.items() if share} for time, of in sums.items()}


def booked(gateway: Gateway) -> dict[tuple[str, str], Decimal]:
    """The rows `pos.db` shows, but for the one that makes positions and wallet agree."""
    rows = gateway.sql("SELECT owner, asset, amount FROM _asset WHERE owner != 'clearing'")
    return {(owner, asset): Decimal(amount) for owner, asset, amount in rows if Decimal(amount)}


def truth(account: Account, owners: dict[str, str]) -> Reckoning:
    """The same from the exchange's files."""

    def mine(name: str) -> list[dict[str, Any]]:
        return [row for row in account.journal(name) if row["account"] == "main"]

    return reckon(mine("trades"), fundings(account), mine("income"), owners, {BTC: "0.001"})


def lose_what_is_told_of_orders(exchange: Exchange) -> None:
    """Events of orders are lost, queries answer from the past: only the wallet's events come through."""
    lost = {"fault": "event.drop", "product": "futures", "event": ["ORDER_TRADE_UPDATE", "TRADE_LITE"]}
    lag = {"fault": "query.lag", "product": "futures", "ms": 600_000}
    exchange.control("POST", "/control/faults", [lost, lag])


def filled_unheard(exchange: Exchange, account: Account, client: Client) -> str:
    """An order of 0.123 that rests, and is filled while nothing of it reaches the gateway; its id."""
    book = exchange.control("GET", "/fapi/v1/ticker/bookTicker?symbol=BTCUSDT")
    price = str((Decimal(book["bidPrice"]) * Decimal("0.98")).quantize(Decimal("0.1")))
    order = client.order("btcusdt", "BUY", type="LIMIT", price=price, qty="0.123")
    client.until(lambda f: f.get("event") == "order" and f["order"]["state"] == "NEW")
    lose_what_is_told_of_orders(exchange)
    below = str((Decimal(price) * Decimal("0.98")).quantize(Decimal("0.1")))
    exchange.control("POST", "/control/futures/price", {"symbol": BTC, "price": below})

    def filled() -> bool:
        fills = [row for row in account.journal("trades") if row["client_order_id"] == order]
        return sum(Decimal(row["qty"]) for row in fills) == Decimal("0.123")

    eventually(filled, "the fill of all of it at the exchange")
    return order


def test_r45_a_day_of_funding_is_the_exchanges_to_the_last_unit(desk: Desk) -> None:
    """Two sessions at +1 and -1 while the account is flat, a third, a foreign position, a late fill."""
    exchange, gateway, account = desk
    set_rate(exchange, "0.00012345")
    clients = {session: gateway.client(session) for session in (1, 2, 3)}
    owners: dict[str, str] = {}
    owners[trade(clients[1], "BUY", "1")] = "1"
    owners[trade(clients[2], "SELL", "1")] = "2"
    assert account.position(BTC) == 0
    flat = next_funding(account)

    by_hand = {"account": "main", "symbol": BTC, "side": "SELL", "qty": "0.7"}
    exchange.control("POST", "/control/futures/trade", by_hand)
    owners[trade(clients[3], "BUY", "0.3")] = "3"
    next_funding(account)

    # A resting order of the third is filled; nobody tells the gateway before the next payment is booked.
    eventually(lambda: gateway.position(3, "btcusdt") == "0.3", "the third session's row")
    resting = filled_unheard(exchange, account, clients[3])
    owners[resting] = "3"
    assert account.position(BTC) == Decimal("-0.277")
    late = next_funding(account)
    eventually(lambda: recorded(gateway, late["time"]), "the payment to be booked")
    assert gateway.position(3, "btcusdt") == "0.3", "the fill was learnt too early to show anything"
    exchange.control("DELETE", "/control/faults")
    filled = clients[3].until(lambda frame: ended(frame, resting))
    assert (filled["order"]["state"], filled["position"]["net"]) == ("FILLED", "0.423")

    set_rate(exchange, "-0.00010001")
    next_funding(account)
    owners[trade(clients[1], "SELL", "1.5")] = "1"
    set_rate(exchange, "0.0003")
    last = next_funding(account)
    eventually(lambda: recorded(gateway, last["time"]), "the last payment to be booked")
    # So that no further one comes while the sums are compared.
    funding = {"symbol": BTC, "rate": "0.0003", "interval_ms": 8 * 3_600_000}
    exchange.control("POST", "/control/futures/funding", funding)

    def agree() -> bool:
        found = truth(account, owners)
        held = {key: amount for key, amount in found.rows.items() if amount}
        shares = {time: share for (_, time), share in found.funding.items() if share}
        return booked(gateway) == held and charged(gateway) == shares

    eventually(agree, "the books to be what the exchange's files make")
    found = truth(account, owners)
    shares = found.funding[BTC, flat["time"]]
    assert set(shares) == {"1", "2"}, "the exchange paid nothing, the sessions paid each other"
    assert shares["1"] == -shares["2"] < 0
    assert set(found.funding[BTC, late["time"]]) == {"1", "2", "3", EXTERNAL}
    assert len([share for share in found.funding.values() if share]) >= 5
    everything = gateway.sql("SELECT asset, amount FROM _asset")
    assert sum(Decimal(n) for asset, n in everything if asset == "USDT") == account.wallet()
    assert sum(Decimal(n) for asset, n in everything if asset == BTC) == account.position(BTC)
    corrected = gateway.sql(
        f"SELECT count(*) FROM charge WHERE time={late['time'] * 1_000_000} AND owner=3",
        "journal.db",
    )
    assert corrected == [(2,)], "a first share and its correction"
