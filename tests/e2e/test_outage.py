"""One outage of real processes, across all that an exchange can do meanwhile; afterwards the invariants hold.

Of I1 to I21 (what positions, orders and events must never be) each test here checks:
I1 every fill of the exchange is booked, once; I2 positions are fills and parts of what the exchange ended,
reckoned apart by the written rule; I3 what is nobody's is EXTERNAL's; I4 and I7 a command made at most one
order, under an id of its own; I5 each session was told of each fill and each end once, and last of the
position as it is; I6 nothing is left unknown; I8 nothing was told over that lived; I9 the same orders are
open on both sides; I10 contracts and I11 money add up to the exchange's; I12 and I13 the fills of an ended
order are its quantity, and no more than was asked; I14 events are dense; I15 `usdt verify` folds the
journal to what was shown; I18 no view of the book was crossed; I19 nothing was sent while the way was
closed; I20 no key is in the logs.
Not applicable: I16 (nobody logs in twice), I17 (no limits are set), I21 (nothing is edited).
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import MachineLacks
from support.futures import Account
from support.processes import (
    APIKEY,
    PATIENCE,
    Client,
    Exchange,
    Frame,
    Gateway,
    Refused,
    ended,
    eventually,
    trading,
    whole_lines,
)
from support.reckoning import reckon

DOGE = "DOGEUSDT"
ZERO = Decimal(0)
Desk = tuple[Exchange, Gateway, Account]


class Session(Client):
    """A client that keeps all it was told."""

    def __init__(self, gateway: Gateway, session: int) -> None:
        self.heard: list[Frame] = []
        self.session = session
        self.sent: list[str] = []
        super().__init__(gateway, session)

    def receive(self, patience: float = PATIENCE) -> Frame:
        frame = super().receive(patience)
        self.heard.append(frame)
        return frame

    def send(self, side: str, qty: str, **more: object) -> str:
        """An order of the contract; its id."""
        order = self.order("dogeusdt", side, qty=qty, **more)
        self.sent.append(order)
        return order

    def state(self, wanted: str) -> None:
        """Until the gateway says so."""
        self.until(lambda frame: frame.get("event") == "state" and frame["state"] == wanted)

    def private(self) -> list[Frame]:
        """Numbered events."""
        return [frame for frame in self.heard if "seq" in frame]


@pytest.fixture
def desk(tmp_path: Path, machine_lacks: MachineLacks) -> Iterator[Desk]:
    """A lively exchange, a gateway that runs, and the account's owner."""
    if shutil.which("openssl") is None:
        machine_lacks("no openssl")
    options = ("--ticks-per-second=20", "--order-limit=100000", "--weight-limit=1000000")
    with trading(tmp_path, *options, exe="usdt") as (exchange, gateway):
        yield exchange, gateway.start(), Account(tmp_path, exchange)


def mine(account: Account, name: str) -> list[Frame]:
    """The account's lines of a file of the exchange."""
    return [row for row in account.journal(name) if row["account"] == "main"]


def rates(account: Account) -> list[Frame]:
    """Fundings of the contract."""
    return [row for row in whole_lines(account.folder / "sim" / "funding.jsonl") if row["symbol"] == DOGE]


def fund_every(exchange: Exchange, millis: int) -> None:
    """Funding at whole multiples of that interval."""
    funding = {"symbol": DOGE, "rate": "0.00012345", "interval_ms": millis}
    exchange.control("POST", "/control/futures/funding", funding)


def cut_off(exchange: Exchange) -> None:
    """A replacement of all connections begins; amid it everything is cut, and nothing gets through."""
    exchange.control("POST", "/control/faults", [{"fault": "shutdown", "ms": 300}])
    refuse = {"fault": "connection.refuse", "status": 503}
    deny = {"fault": "reply.error", "code": -1000, "status": 503, "message": "Service Unavailable."}
    exchange.control("POST", "/control/faults", [refuse, deny, {"fault": "connection.abort"}])


def force(exchange: Exchange, how: str, qty: str) -> None:
    """The exchange ends a part of the account's position."""
    part = {"account": "main", "symbol": DOGE, "qty": qty}
    exchange.control("POST", f"/control/futures/{how}", part)


def best_bid(exchange: Exchange) -> Decimal:
    """As the exchange shows it."""
    book = exchange.control("GET", f"/fapi/v1/ticker/bookTicker?symbol={DOGE}")
    return Decimal(book["bidPrice"])


def move(exchange: Exchange, price: Decimal) -> None:
    """The market goes there."""
    exchange.control("POST", "/control/futures/price", {"symbol": DOGE, "price": on_tick(price)})


def on_tick(price: Decimal) -> str:
    """On the grid."""
    return str(price.quantize(Decimal("0.00001")))


def traded(account: Account, order: str) -> Decimal:
    """What the exchange has filled of an order."""
    rows = (row for row in mine(account, "trades") if row["client_order_id"] == order)
    return sum((Decimal(row["qty"]) for row in rows), ZERO)


def outage(exchange: Exchange, account: Account, sessions: list[Session], how: str) -> None:
    """Nothing gets through; a fill, fundings, a forced end and a replacement of connections fall into it."""
    bid = best_bid(exchange)
    resting = sessions[0].send("BUY", "70", type="LIMIT", price=on_tick(bid * Decimal("0.99")))
    alive = sessions[1].send("SELL", "55", type="LIMIT", price=on_tick(bid * Decimal("1.2")))
    for session, order in ((sessions[0], resting), (sessions[1], alive)):
        session.until(lambda f, order=order: f.get("event") == "order" and f["order"]["order_id"] == order)
    funded = len(rates(account))
    cut_off(exchange)
    for session in sessions:
        session.until(lambda frame: frame.get("event") == "state" and frame["state"] != "ready")
    with pytest.raises(Refused, match="-30002"):
        sessions[2].order("dogeusdt", "BUY", type="MARKET", qty="40")
    move(exchange, bid * Decimal("0.98"))
    eventually(lambda: traded(account, resting) == 70, "the resting order to be filled")
    force(exchange, how, "333")
    eventually(lambda: len(rates(account)) >= funded + 2, "two fundings")
    by_hand = {"account": "main", "symbol": DOGE, "side": "BUY", "qty": "77"}
    exchange.control("POST", "/control/futures/trade", by_hand)
    force(exchange, how, "100")
    exchange.control("DELETE", "/control/faults")
    for session in sessions:
        session.state("ready")


@pytest.mark.parametrize("how", ["liquidate", "deleverage"])
def test_after_an_outage_across_everything_every_invariant_holds(desk: Desk, how: str) -> None:
    """A fill, fundings, a forced end of a part and a replacement of connections, in one outage."""
    exchange, gateway, account = desk
    sessions = [Session(gateway, number) for number in (1, 2, 3)]
    for session in sessions:
        session.state("ready")
        session.call("subscribe", streams=["dogeusdt@bbo", "dogeusdt@depth"])
    fund_every(exchange, 3_000)
    for session, side, qty in zip(sessions, ("BUY", "SELL", "BUY"), ("900", "250", "333"), strict=True):
        order = session.send(side, qty, type="MARKET")
        session.until(lambda frame, order=order: ended(frame, order))
    by_hand = {"account": "main", "symbol": DOGE, "side": "BUY", "qty": "101"}
    exchange.control("POST", "/control/futures/trade", by_hand)

    outage(exchange, account, sessions, how)

    fund_every(exchange, 8 * 3_600_000)
    # Trading goes on: one order each, and what still rests is cancelled.
    for session in sessions:
        order = session.send("BUY", "31", type="MARKET")
        session.until(lambda frame, order=order: ended(frame, order))
        session.number += 1
        going = session.call("cancel_all", n=session.number - 1, symbol="dogeusdt")["order_ids"]
        # It is told after it is in the journal, which knows of it later than the exchange.
        for order in going:
            session.until(lambda frame, order=order: ended(frame, order))
    eventually(lambda: not account.state()["orders"], "everything to be cancelled")
    origin = {"liquidate": "LIQUIDATION", "deleverage": "ADL"}[how]
    assert [row["origin"] for row in mine(account, "trades")].count(origin) >= 2

    owners = {order: str(session.session) for session in sessions for order in session.sent}
    check_books(gateway, account, owners)
    check_orders(gateway, account, owners)
    for session in sessions:
        check_told(session, gateway, account)
    check_end(gateway)


def check_books(gateway: Gateway, account: Account, owners: dict[str, str]) -> None:
    """I1, I2, I3, I10, I11."""

    def reckoned() -> dict[tuple[str, str], Decimal]:
        trades, income = mine(account, "trades"), mine(account, "income")
        found = reckon(trades, rates(account), income, owners, {DOGE: "1"})
        return {key: amount for key, amount in found.rows.items() if amount}

    def shown() -> dict[tuple[str, str], Decimal]:
        rows = gateway.sql("SELECT owner, asset, amount FROM _asset WHERE owner != 'clearing'")
        return {(owner, asset): Decimal(amount) for owner, asset, amount in rows if Decimal(amount)}

    eventually(lambda: shown() == reckoned(), "I2: the rows to be what the exchange's files make")
    rows = gateway.sql("SELECT symbol, trade_id, venue_id, session FROM fill", "journal.db")
    booked = Counter((symbol.upper(), trade, order) for symbol, trade, order, _ in rows)
    real = {(row["symbol"], row["trade_id"], row["order_id"]) for row in mine(account, "trades")}
    assert set(booked) == real, "I1: every fill is booked"
    assert set(booked.values()) == {1}, "I1: once"
    whose = {row["order_id"]: owners.get(row["client_order_id"]) for row in mine(account, "trades")}
    assert all(whose[order] == (session and str(session)) for _, _, order, session in rows), "I1, I3"
    total = sum(Decimal(n) for (n,) in gateway.sql(f"SELECT amount FROM _asset WHERE asset='{DOGE}'"))
    assert total == account.position(DOGE), "I10"
    money = sum(Decimal(n) for (n,) in gateway.sql("SELECT amount FROM _asset WHERE asset='USDT'"))
    assert money == account.wallet(), "I11"


def check_orders(gateway: Gateway, account: Account, owners: dict[str, str]) -> None:
    """I4, I6, I7, I9, I12, I13, I19."""
    placed = Counter(row["client_order_id"] for row in mine(account, "orders") if row["event"] == "NEW")
    ours = {name: n for name, n in placed.items() if name in owners}
    assert ours == dict.fromkeys(owners, 1), "I4, I7, I19: each command made one order, the refused one none"
    text = "SELECT id, state, filled FROM order_state ORDER BY seq"
    last = {name: (state, Decimal(filled)) for name, state, filled in gateway.sql(text, "journal.db")}
    over = {"FILLED", "CANCELED", "EXPIRED", "REJECTED"}
    assert {last[name][0] for name in owners} <= over, "I6, I9: nothing is unknown or open"
    filled: dict[str, Decimal] = dict.fromkeys(owners, ZERO)
    for row in mine(account, "trades"):
        if row["client_order_id"] in owners:
            filled[row["client_order_id"]] += Decimal(row["qty"])
    assert {name: last[name][1] for name in owners} == filled, "I12"
    asked = {row["client_order_id"]: Decimal(row["qty"]) for row in mine(account, "orders")}
    assert all(filled[name] <= asked[name] for name in owners), "I13"
    assert not account.state()["orders"], "I9"


def check_told(session: Session, gateway: Gateway, account: Account) -> None:
    """I5, I8, I14, I18."""
    net = gateway.position(session.session)
    wanted = {
        (row["trade_id"], Decimal(row["qty"]))
        for row in mine(account, "trades")
        if row["client_order_id"] in session.sent
    }

    def told() -> bool:
        # Whatever is still on its way: another answer comes behind it.
        session.call("orders")
        last = [f["position"]["net"] for f in session.private() if "position" in f][-1:]
        return last == [net]

    eventually(told, "I5: the last event to tell of the position as it is")
    numbers = [(frame["gen"], frame["seq"]) for frame in session.private()]
    first = numbers[0]
    assert numbers == [(first[0], first[1] + at) for at in range(len(numbers))], "I14"
    orders = [frame for frame in session.private() if frame.get("event") == "order"]
    fills = [(f["fill"]["trade_id"], Decimal(f["fill"]["qty"])) for f in orders if f.get("fill")]
    assert len(fills) == len(set(fills)), "I5: each fill once"
    assert set(fills) == wanted, "I5: every fill"
    over = ("FILLED", "CANCELED", "REJECTED", "EXPIRED")
    ends = Counter(f["order"]["order_id"] for f in orders if f["order"]["state"] in over)
    assert ends == Counter(session.sent), "I5: each end once"
    statuses = {row["client_order_id"]: row["status"] for row in mine(account, "orders")}
    for frame in orders:
        if frame["order"]["state"] in over:
            assert statuses[frame["order"]["order_id"]] == frame["order"]["state"], "I8"
    for frame in session.heard:
        data: dict[str, Any] = frame.get("data", {}) if "stream" in frame else {}
        if data.get("bids") and data.get("asks"):
            assert Decimal(data["bids"][0][0]) < Decimal(data["asks"][0][0]), "I18"


def check_end(gateway: Gateway) -> None:
    """I15, I20."""
    token = gateway.token
    gateway.running.end()
    verified = gateway.run("verify", f"-c={gateway.exe}.json")
    assert verified.returncode == 0, f"I15: {verified.stdout}{verified.stderr}"
    logs = gateway.running.log() + "".join(f.read_text() for f in (gateway.folder / "log").glob("*.log"))
    assert APIKEY not in logs, "I20"
    assert token not in logs, "I20"
