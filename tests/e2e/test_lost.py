"""What is lost comes back: `pos.db` from the journal, the journal from the exchange, both from the exchange.

The oracle is the exchange's own trade file: what each session holds, has paid in fees and has realised is
reckoned from it here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.futures import Account
from support.processes import ANEW, Client, Exchange, Gateway, eventually, trading, whole_lines
from websockets.exceptions import ConnectionClosedError

Desk = tuple[Exchange, Gateway]
FILES = {"spot": "trades.jsonl", "usdt": "futures_trades.jsonl"}
SYMBOL = "dogeusdt"


@pytest.fixture(params=["spot", "usdt"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """A lively exchange and a gateway that has not been started, of each market."""
    with trading(tmp_path, "--ticks-per-second=20", exe=str(request.param)) as both:
        yield both


def session_of(client_id: str) -> int | None:
    """The session in an order's id, read naively: sessions here have one digit."""
    ours = len(client_id) >= 22 and client_id[6] == "-" and client_id[16] == "-"
    return int(client_id[15]) if ours else None


def trades(gateway: Gateway) -> dict[int, list[Any]]:
    """The exchange's trades of each session, in its order."""
    found: dict[int, list[Any]] = defaultdict(list)
    for trade in whole_lines(gateway.folder / "sim" / FILES[gateway.exe]):
        session = session_of(trade["client_order_id"]) if trade["account"] == "main" else None
        if session is not None:
            found[session].append(trade)
    return found


def reckoned(rows: list[Any]) -> tuple[Decimal, Decimal, dict[str, Decimal]]:
    """Quantity, profit realised at average cost, and fees."""
    held, cost, realised = Decimal(0), Decimal(0), Decimal(0)
    fees: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        qty = Decimal(row["qty"]) * (1 if row["side"] == "BUY" else -1)
        value = qty * Decimal(row["price"])
        if held * qty < 0:
            closed = min(abs(qty), abs(held)) * (1 if held > 0 else -1)
            realised += closed * (Decimal(row["price"]) - cost / held)
            cost -= cost / held * closed
            qty, value = qty + closed, (qty + closed) * Decimal(row["price"])
            held -= closed
        held, cost = held + qty, cost + value
        fee = Decimal(row["commission"])
        fees[row["commission_asset"]] += fee
        if row["commission_asset"] == "DOGE":
            # Paid out of what was bought, at what it cost; what is not held is owed at the price of the fill.
            paid = max(min(fee, held), Decimal(0))
            cost -= (cost / held * paid if paid else Decimal(0)) + (fee - paid) * Decimal(row["price"])
            held -= fee
    return held, realised, {asset: fee for asset, fee in fees.items() if fee}


def trade(client: Client, side: str, qty: str) -> None:
    """An order at the market, to its end."""
    order = client.order(SYMBOL, side, type="MARKET", qty=qty)
    done = client.until(
        lambda frame: (
            frame.get("event") == "order"
            and frame["order"]["order_id"] == order
            and frame["order"]["state"] == "FILLED"
        )
    )
    assert done["order"]["filled"] == qty


def use(gateway: Gateway) -> None:
    """Two sessions trade, and one leaves an order open."""
    one, two = gateway.client(1), gateway.client(2)
    for client, side, qty in [
        (one, "BUY", "400"),
        (two, "SELL", "250"),
        (one, "SELL", "150"),
        (one, "BUY", "90"),
    ]:
        trade(client, side, qty)
    one.close()
    two.close()


def lose(gateway: Gateway, *names: str) -> None:
    """A stopped gateway's files are deleted."""
    for name in names:
        for path in (gateway.folder / str(gateway.config["db"])).glob(f"{name}*"):
            path.unlink()


def comes_back(gateway: Gateway) -> None:
    """Both sessions come to what the exchange's trades say they hold, have paid and realised; all adds up."""
    for session in (1, 2):
        seat = [at_home(gateway, session)]
        net, realised, fees = reckoned(trades(gateway)[session])

        def position(seat: list[Client] = seat) -> Any:
            return position_at(gateway, seat)

        eventually(lambda net=net: Decimal(position()["net"]) == net, f"session {session} holds {net}")
        assert abs(Decimal(position()["realised"]) - realised) < Decimal("1e-6")
        eventually(lambda fees=fees, session=session: paid(gateway, session) == fees, f"fees of {fees}")
        seat[0].close()
    eventually(lambda: adds_up(gateway), "the books are the account")
    eventually(lambda: unattributed(gateway) == [], "everything is explained")


def position_at(gateway: Gateway, seat: list[Client]) -> Any:
    """The position as the gateway tells it, after another login where it asks for one."""
    try:
        (row,) = seat[0].call("positions", symbols=[SYMBOL])["positions"]
    except ConnectionClosedError as closed:
        assert closed.rcvd is not None and closed.rcvd.code == ANEW
        seat[0] = at_home(gateway, seat[0].seat["session_id"])
        return position_at(gateway, seat)
    return row


def paid(gateway: Gateway, session: int) -> dict[str, Decimal]:
    """Fees of a session, as `pos.db` has them."""
    rows = gateway.sql(f"SELECT asset, amount FROM _fee WHERE session_id={session}")
    return {asset: Decimal(amount) for asset, amount in rows}


def at_home(gateway: Gateway, session: int) -> Client:
    """A client that has subscribed. A new journal may have to ask once more for a login, for new ids."""
    while True:
        client = gateway.client(session)
        try:
            client.call("subscribe", streams=[f"{SYMBOL}@bbo"])
        except ConnectionClosedError as closed:
            assert closed.rcvd is not None and closed.rcvd.code == ANEW
        else:
            return client


def unattributed(gateway: Gateway) -> list[Any]:
    """What nobody has explained."""
    return gateway.sql("SELECT asset, amount FROM _asset WHERE owner='unattributed' AND amount<>'0'")


def adds_up(gateway: Gateway) -> bool:
    """Is the sum of all rows the account, asset by asset?"""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for asset, amount in gateway.sql("SELECT asset, amount FROM _asset"):
        sums[asset] += Decimal(amount)
    client = gateway.client(9)
    shown = {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in client.call("balances")}
    client.close()
    return bool(shown) and all(sums[asset] == amount for asset, amount in shown.items())


@pytest.mark.parametrize("names", [("pos.db",), ("journal.db",), ("journal.db", "pos.db")], ids=" and ".join)
def test_what_is_lost_comes_back(desk: Desk, names: tuple[str, ...]) -> None:
    _, gateway = desk
    gateway.start()
    use(gateway)
    eventually(lambda: gateway.position(2) is not None, "the rows")
    gateway.running.kill()
    lose(gateway, *names)
    gateway.start()
    comes_back(gateway)
    client = gateway.client(1)
    trade(client, "SELL", "40")
    client.close()
    comes_back(gateway)


@pytest.mark.parametrize("note", ["kept", "lost"])
def test_an_older_copy_of_the_journal_is_brought_up_to_date(desk: Desk, note: str) -> None:
    """By the note of the last epoch the start knows it for what it is, though the lost run has left nothing
    else; without, by an order of that run."""
    _, gateway = desk
    gateway.start()
    use(gateway)
    copy = gateway.folder / "copy.db"
    gateway.sql(f"VACUUM INTO '{copy}'", "journal.db")
    gateway.running.end()
    gateway.start()
    if note == "lost":
        use(gateway)
    client = gateway.client(1)
    before = client.seat
    client.close()
    gateway.running.kill()
    lose(gateway, "journal.db", "pos.db", *(["epoch.json"] if note == "lost" else []))
    copy.rename(gateway.folder / str(gateway.config["db"]) / "journal.db")
    gateway.start()
    if note == "kept":
        gateway.await_logged("journal.db is an older copy: it lacks a run of this gateway")
    comes_back(gateway)
    gateway.await_logged("journal.db is an older copy: it lacks a run of this gateway")
    again = gateway.client(1)
    assert again.seat["last"]["gen"] > before["last"]["gen"], "numbers told since are not used again"
    assert again.seat["epoch"] > before["epoch"], "nor are the ids of orders"


def test_row_004_53_an_order_somebody_else_has_cancelled_goes_to_external(tmp_path: Path) -> None:
    """Spot renames it: with the journal lost nothing tells whose it was."""
    with trading(tmp_path, "--ticks-per-second=0") as (exchange, gateway):
        gateway.start()
        client = gateway.client(1)
        client.buy("100")
        account = Account(tmp_path, exchange)
        ask = account.ask("GET", "/api/v3/depth", symbol="DOGEUSDT")["asks"][0]
        qty = str(int(Decimal(ask[1])) + 100)
        order = client.order(SYMBOL, "BUY", type="LIMIT", tif="GTC", price=ask[0], qty=qty)
        part = "PARTIALLY_FILLED"
        client.until(lambda frame: frame.get("event") == "order" and frame["order"]["state"] == part)
        account.ask("DELETE", "/api/v3/order", symbol="DOGEUSDT", origClientOrderId=order)
        client.until(lambda frame: frame.get("event") == "order" and frame["order"]["state"] == "CANCELED")
        client.close()
        gateway.running.end()
        lose(gateway, "journal.db", "pos.db")
        gateway.start()
        seat = [at_home(gateway, 1)]
        mine = trades(gateway)[1]
        net, _, _ = reckoned([row for row in mine if row["client_order_id"] != order])
        assert net < reckoned(mine)[0]
        eventually(lambda: Decimal(position_at(gateway, seat)["net"]) == net, "what it bought")
        eventually(lambda: seat[0].call("orders")["orders"] == [], "nothing to be open")
        eventually(lambda: adds_up(gateway), "the books are the account")
        eventually(lambda: unattributed(gateway) == [], "everything is explained")
