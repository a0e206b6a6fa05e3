"""A disk that fails once, a bit that flips in a file, and a gateway that stands still for ninety seconds.

The oracle is the exchange's own trade file. What a full disk, a locked, lost or exchanged file comes to is in
`tests/runtime/test_books.py` and `test_lost.py`.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from support.deaths import armed
from support.outcome import comes_out_even, held, net
from support.processes import ANEW, Client, Exchange, Gateway, Refused, ended, eventually, trading
from websockets.exceptions import ConnectionClosedError

Desk = tuple[Exchange, Gateway]
SYMBOL = "dogeusdt"
SEED = int(os.environ.get("TRADINGSYS_SEED", "1"))
# The exchange's clocks run so many times faster, so 90 s are 3. With 1 they are what they are.
SCALE = int(os.environ.get("TRADINGSYS_SCALE", "30"))


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[Desk]:
    """An exchange in a hurry: what it does after a minute of silence it does after two seconds."""
    with trading(tmp_path, "--ticks-per-second=20", f"--time-scale={SCALE}") as both:
        yield both


@pytest.mark.parametrize("place", ["before_append", "mid_append", "after_append"])
def test_r58_a_journal_that_cannot_be_written_once_is_written_once(desk: Desk, place: str) -> None:
    """Also where the error hid a commit: nothing is lost, nothing is there twice."""
    _, gateway = desk
    gateway.start(env=armed(f"{place}:25=io_error"))
    client = gateway.client()
    while not gateway.logged("journal_writes_again"):
        eventually(lambda: buys(client), "an order to be taken again")
    gateway.await_logged("journal_cannot_write", reason=f"disk I/O error ({place})")
    comes_out_even(gateway, client)


def buys(client: Client) -> bool:
    """Is an order taken, and filled? Not while the journal or the exchange is away."""
    try:
        return str(client.buy("10")["order"]["state"]) == "FILLED"
    except Refused as refused:
        assert is_away(refused), refused
        return False


def is_away(refused: Refused) -> bool:
    """Is the journal or the exchange away for a while?"""
    return refused.error["name"] in ("store_failed", "not_ready", "disconnected")


def rests(client: Client, price: str) -> str:
    """An order for 70; its id. The hurried exchange cuts whoever stands still for two seconds."""

    def placed() -> str:
        try:
            return client.order(side="BUY", type="LIMIT", tif="GTC", price=price, qty="70")
        except Refused as refused:
            assert is_away(refused), refused
            return ""

    return str(eventually(placed, "the order to be taken"))


def cancels(client: Client, order: str) -> bool:
    """Is a cancel taken?"""
    client.number += 1
    try:
        client.call("cancel", n=client.number - 1, order_id=order)
    except Refused as refused:
        assert is_away(refused), refused
        return False
    return True


def test_r57_a_pos_db_that_cannot_be_written_once_is_written_later(desk: Desk) -> None:
    _, gateway = desk
    gateway.start(env=armed("mid_projection:3=io_error"))
    client = gateway.client()
    while not gateway.logged("pos_db_up_to_date"):
        assert client.buy("10")["order"]["state"] == "FILLED", "trading goes on"
    gateway.await_logged("pos_db_waits", reason="disk I/O error (mid_projection)")
    comes_out_even(gateway, client)


@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal", "pos.db"])
def test_r59_a_flipped_bit_is_found_or_costs_nothing(desk: Desk, name: str) -> None:
    """Never a wrong position without a word: refused, rebuilt, or booked as the edit it looks like."""
    _, gateway = desk
    gateway.start()
    client = gateway.client()
    for _ in range(5):
        client.buy("10")
    eventually(lambda: Decimal(gateway.position() or 0) == held(gateway), "pos.db to show it")
    if name == "journal.db-wal":
        gateway.running.kill()
    else:
        gateway.running.end()
    folder = gateway.folder / str(gateway.config["db"])
    good = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    rng = random.Random(f"{SEED} {name}")
    print(f"seed {SEED}; replay: TRADINGSYS_SEED={SEED} pytest {__file__} -k {name}")
    found = 0
    for _ in range(12):
        for path in folder.iterdir():
            path.unlink()
        for each, content in good.items():
            (folder / each).write_bytes(content)
        at, bit = rng.randrange(len(good[name])), rng.randrange(8)
        spoilt = bytearray(good[name])
        spoilt[at] ^= 1 << bit
        (folder / name).write_bytes(spoilt)
        found += judged(gateway, f"bit {bit} of byte {at}")
    assert found or name != "journal.db", "of twelve bits of the journal some are of a record"


def judged(gateway: Gateway, where: str) -> bool:
    """Was the damage noticed? If not, everything must be as it was."""
    verified = gateway.run("verify", "-c=spot.json")
    checked = verified.returncode != 0
    if checked:
        assert verified.returncode in (1, 78), f"{where}: {verified.stderr}"
    try:
        gateway.start()
    except AssertionError as refusal:
        assert gateway.running.popen.returncode == 78, f"{where}: {refusal}"
        return True
    # What it finds edited it says at once, and writes down a moment later.
    eventually(lambda: shown(gateway) == held(gateway) + sum(edits(gateway)), f"{where}: the position")
    found = edits(gateway)
    gateway.running.end()
    return checked or bool(found)


def edits(gateway: Gateway) -> list[Decimal]:
    """What the journal has of edits."""
    return [Decimal(delta) for (delta,) in gateway.sql("SELECT delta FROM adjustment", "journal.db")]


def shown(gateway: Gateway) -> Decimal:
    """What it says the session holds, to a client that comes just now."""
    client = gateway.client()
    try:
        return net(client)
    except ConnectionClosedError as closed:
        # A part of the journal is lost: orders get new ids.
        assert closed.rcvd is not None and closed.rcvd.code == ANEW
        return shown(gateway)
    finally:
        client.close()


def test_a_gateway_that_stood_still_for_ninety_seconds_catches_up(hurried: Desk) -> None:
    """Its connections are given up meanwhile, one order is filled and one stays; nobody tells it."""
    exchange, gateway = hurried
    gateway.start()
    # Of the client's own patience nothing is asked here.
    client = gateway.client(options={"ping_interval": None})
    bid = Decimal(exchange.control("GET", "/api/v3/ticker/bookTicker?symbol=DOGEUSDT")["bidPrice"])
    price = {name: str((bid * Decimal(part)).quantize(Decimal("0.00001"))) for name, part in PRICES.items()}
    filled, stays = (rests(client, price[name]) for name in ("near", "far"))
    told: dict[str, str] = {}
    while not {filled, stays} <= told.keys():
        order = client.until(lambda frame: frame.get("event") == "order")["order"]
        told[order["order_id"]] = order["state"]
    gateway.running.popen.send_signal(signal.SIGSTOP)
    exchange.control("POST", "/control/price", {"symbol": "DOGEUSDT", "price": price["between"]})
    eventually(lambda: held(gateway) > 60, "the order to be filled")
    # Not a wait for something: the time itself is the test.
    time.sleep(90 / SCALE)
    gateway.running.popen.send_signal(signal.SIGCONT)
    while told[filled] != "FILLED":
        told[filled] = client.until(lambda frame: ended(frame, filled))["order"]["state"]
    eventually(lambda: buys(client), "orders to be taken again")
    assert [order["order_id"] for order in client.call("orders")["orders"]] == [stays]
    eventually(lambda: cancels(client, stays), "the other to be cancelled")
    client.until(lambda frame: ended(frame, stays))
    comes_out_even(gateway, client)


PRICES = {"near": "0.99", "between": "0.97", "far": "0.9"}
