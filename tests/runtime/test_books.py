"""`journal.db` and `pos.db` under a real gateway: fills, edits with SQL, locks, damage, loss, a full disk."""

from __future__ import annotations

import json
import resource
import signal
import sqlite3
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from support.deaths import armed
from support.processes import (
    PATIENCE,
    Client,
    Exchange,
    Gateway,
    Process,
    Refused,
    ended,
    eventually,
    program,
)


def net(client: Client, symbol: str = "dogeusdt") -> Decimal:
    """What the gateway says the session holds."""
    rows = client.call("positions")["positions"]
    return sum((Decimal(row["net"]) for row in rows if row["symbol"] == symbol), Decimal(0))


def shows(gateway: Gateway, qty: Decimal, symbol: str = "dogeusdt", session: int = 1) -> None:
    """Until `pos.db` shows it."""

    def there() -> bool:
        shown = gateway.position(session, symbol)
        return shown is not None and Decimal(shown) == qty

    eventually(there, f"pos.db shows {qty}")


def account(exchange: Exchange) -> dict[str, Decimal]:
    """The exchange's own word on what the account holds."""
    state = exchange.control("GET", "/control/state")
    (main,) = (row for row in state["accounts"] if row["name"] == "main")
    return {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in main["balances"]}


def ties_out(gateway: Gateway, exchange: Exchange) -> None:
    """Sessions, external and unattributed together are what the exchange says, asset by asset."""

    def sums() -> dict[str, Decimal]:
        total: dict[str, Decimal] = {}
        for asset, amount in gateway.sql("SELECT asset, amount FROM _asset"):
            total[asset] = total.get(asset, Decimal(0)) + Decimal(amount)
        return {asset: amount for asset, amount in total.items() if amount}

    expected = {asset: amount for asset, amount in account(exchange).items() if amount}
    eventually(lambda: sums() == expected, f"the books {sums()} are the account {expected}")


def test_row_004_65_the_first_fill_of_a_symbol_is_shown(gateway: Gateway, exchange: Exchange) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    assert net(client) > 9
    shows(gateway, net(client))
    ties_out(gateway, exchange)
    (fill,) = gateway.sql("SELECT session, symbol, side, qty FROM fill", "journal.db")
    assert fill == (1, "dogeusdt", "BUY", "10")


def test_row_004_35_an_edit_with_sql_is_honoured_and_audited(gateway: Gateway, exchange: Exchange) -> None:
    gateway.start()
    gateway.client().buy("10")
    shows(gateway, held := net_after(gateway))
    gateway.running.end()
    gateway.sql("UPDATE position SET qty = 5 WHERE symbol = 'DOGEUSDT'")
    gateway.start()
    client = gateway.client()
    assert net(client) == 5
    shows(gateway, Decimal(5))
    (audit,) = gateway.sql("SELECT session, symbol, shown, qty, delta FROM adjustment", "journal.db")
    assert audit[:2] == (1, "dogeusdt")
    assert [Decimal(value) for value in audit[2:]] == [held, 5, 5 - held]
    ties_out(gateway, exchange)
    assert list((gateway.folder / "db").glob("pos.db.bak-*"))
    client.buy("10")
    assert net(client) > 14
    gateway.running.kill()
    gateway.start()
    assert net(gateway.client()) > 14
    assert len(gateway.sql("SELECT * FROM adjustment", "journal.db")) == 1


def net_after(gateway: Gateway) -> Decimal:
    """The position in the journal's own events."""
    ((frame,),) = gateway.sql("SELECT frame FROM event ORDER BY seq DESC LIMIT 1", "journal.db")
    return Decimal(json.loads(frame)["position"]["net"])


def test_a_row_inserted_for_a_symbol_never_traded_is_honoured(gateway: Gateway, exchange: Exchange) -> None:
    gateway.start()
    gateway.client()
    gateway.running.end()
    gateway.sql("INSERT INTO position(session_id, symbol, qty, avg_price) VALUES(3, 'ETHUSDT', 0.5, 2000)")
    gateway.start()
    assert net(gateway.client(3), "ethusdt") == Decimal("0.5")
    ties_out(gateway, exchange)


def test_an_edit_while_the_gateway_runs_waits_for_the_next_start(
    gateway: Gateway, exchange: Exchange
) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    shown = net(client)
    shows(gateway, shown)
    gateway.sql("UPDATE position SET qty = 3")
    client.buy("10")
    eventually(lambda: gateway.logged("edit_pending", session="1", symbol="dogeusdt"), "a line in the log")
    assert gateway.position() == "3", "never overwritten"
    bought = net(client) - shown
    gateway.running.end()
    gateway.start()
    assert net(gateway.client()) == 3 + bought
    shows(gateway, 3 + bought)
    ties_out(gateway, exchange)


def test_i21_edits_booked_taken_back_and_never_shown_are_taken_back(
    gateway: Gateway, exchange: Exchange
) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    held = net(client)
    shows(gateway, held)
    gateway.running.end()
    (shown,) = gateway.sql("SELECT qty, avg_price FROM position")
    gateway.sql("UPDATE position SET qty = 0")
    gateway.sql("INSERT INTO position(session_id, symbol, qty, avg_price) VALUES(3, 'dogeusdt', 4, 0.25)")
    command: list[str | Path] = [program("spot"), "-c=spot.json"]
    gateway.process = Process(command, gateway.folder, env=armed("after_edit"))
    assert gateway.running.popen.wait(PATIENCE) == -signal.SIGKILL, gateway.running.log()
    booked = gateway.sql("SELECT session, qty FROM adjustment ORDER BY session", "journal.db")
    assert booked == [(1, "0"), (3, "4")], "in the journal, and not shown"
    gateway.sql(f"UPDATE position SET qty = '{shown[0]}' WHERE session_id = 1")
    gateway.sql("DELETE FROM position WHERE session_id = 3")
    gateway.start()
    assert net(gateway.client()) == held and net(gateway.client(3)) == 0, "what the user wrote last"
    for session in ("1", "3"):
        (line,) = gateway.await_logged("edit taken back", session=session)
        assert line.level == "WARN"
    ties_out(gateway, exchange)
    eventually(lambda: gateway.position(3) == "0", "pos.db shows session 3")
    assert gateway.sql("SELECT qty, avg_price FROM position WHERE session_id = 1") == [shown]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE position SET qty = 'ten'", "not a plain decimal number"),
        ("UPDATE position SET qty = 1.0 / 3", "decimal places"),
        ("UPDATE position SET market = 'usdt'", "not this gateway's"),
    ],
)
def test_a_row_that_cannot_be_understood_stops_trading_in_its_symbol(
    gateway: Gateway, sql: str, words: str
) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    shows(gateway, net(client))
    gateway.running.end()
    gateway.sql(sql)
    gateway.start()
    client = gateway.client()
    with pytest.raises(Refused) as refused:
        client.order(type="MARKET", qty="10")
    assert words in refused.value.error["message"], refused.value.error
    assert client.buy("0.01", "btcusdt")["order"]["state"] == "FILLED", "other symbols trade"


def test_a_gateways_own_table_touched_stops_all_trading(gateway: Gateway) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    shows(gateway, net(client))
    gateway.running.end()
    gateway.sql("UPDATE _shadow SET qty = '5'")
    gateway.start()
    client = gateway.client()
    for symbol in ("dogeusdt", "btcusdt"):
        with pytest.raises(Refused) as refused:
            client.order(symbol, type="MARKET", qty="10")
        assert "move the file away" in refused.value.error["message"]
    gateway.running.end()
    (gateway.folder / "db" / "pos.db").rename(gateway.folder / "db" / "pos.db.mine")
    gateway.start()
    assert gateway.client().buy("10")["order"]["state"] == "FILLED"


def test_r57_a_locked_pos_db_does_not_hold_up_trading(gateway: Gateway, exchange: Exchange) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    shows(gateway, net(client))
    editor = sqlite3.connect(gateway.folder / "db" / "pos.db", isolation_level=None)
    editor.execute("BEGIN EXCLUSIVE")
    for _ in range(3):
        assert client.buy("10")["order"]["state"] == "FILLED"
    eventually(lambda: gateway.logged("pos_db_waits"), "a line in the log")
    editor.execute("COMMIT")
    editor.close()
    shows(gateway, net(client))
    ties_out(gateway, exchange)


def test_a_moments_reading_of_pos_db_is_nothing_to_speak_of(gateway: Gateway) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    shows(gateway, net(client))
    for _ in range(10):
        said = len(gateway.logged("pos_db_waits"))
        held = read_for_a_moment(gateway, client)
        shows(gateway, net(client))
        if len(gateway.logged("pos_db_waits")) == said:
            return
        # Two seconds are no moment any more; this machine may have stood still.
        assert held > 1, f"held for {held:.2f} s"
    pytest.fail("no moment was short enough")


def read_for_a_moment(gateway: Gateway, client: Client) -> float:
    """Holds a reader's lock while the position changes; for how long."""
    reader = sqlite3.connect(gateway.folder / "db" / "pos.db", isolation_level=None)
    began = time.monotonic()
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM position").fetchall()
    client.buy("10")
    # Held, not waited for: long enough that the row was tried and was not written.
    time.sleep(0.6)
    assert reader.execute("SELECT qty FROM position").fetchall() != [(str(net(client)),)]
    reader.execute("COMMIT")
    reader.close()
    return time.monotonic() - began


def test_r57_a_pos_db_locked_at_the_start_does_not_hold_up_the_gateway(gateway: Gateway) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    shows(gateway, net(client))
    gateway.running.end()
    editor = sqlite3.connect(gateway.folder / "db" / "pos.db", isolation_level=None)
    editor.execute("BEGIN EXCLUSIVE")
    gateway.start()
    client = gateway.client()
    assert client.buy("10")["order"]["state"] == "FILLED"
    gateway.await_logged("pos_db_locked")
    editor.execute("COMMIT")
    editor.close()
    shows(gateway, net(client))


def test_r59_a_corrupt_pos_db_is_put_aside_and_rebuilt(gateway: Gateway, exchange: Exchange) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    held = net(client)
    shows(gateway, held)
    gateway.running.end()
    path = gateway.folder / "db" / "pos.db"
    bytes_ = bytearray(path.read_bytes())
    bytes_[:64] = b"\xa5" * 64
    path.write_bytes(bytes_)
    gateway.start()
    assert net(gateway.client()) == held
    shows(gateway, held)
    ties_out(gateway, exchange)
    (aside,) = (gateway.folder / "db").glob("pos.db.corrupt-*")
    assert aside.read_bytes() == bytes_


@pytest.mark.parametrize("running", [True, False])
def test_a_lost_pos_db_is_rebuilt_from_the_journal(
    gateway: Gateway, exchange: Exchange, running: bool
) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    shows(gateway, net(client))
    if not running:
        gateway.running.end()
    (gateway.folder / "db" / "pos.db").unlink()
    if not running:
        gateway.start()
        client = gateway.client()
    client.buy("10")
    eventually(lambda: (gateway.folder / "db" / "pos.db").exists(), "pos.db")
    shows(gateway, net(client))
    ties_out(gateway, exchange)


def test_a_lost_journal_begins_anew_and_pos_db_is_only_reported(gateway: Gateway, exchange: Exchange) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    held = net(client)
    shows(gateway, held)
    gateway.running.end()
    gateway.sql("UPDATE position SET qty = 77")
    for path in (gateway.folder / "db").glob("journal.db*"):
        path.unlink()
    gateway.start()
    gateway.await_logged("pos_db_of_another_journal")
    gateway.await_logged("pos_db_row_not_taken", qty="77")
    # Until the past is read, all may have to log in anew, for ids above those that were found.
    gateway.await_logged("position differs from what the lost journal's pos.db showed")
    assert net(gateway.client()) == held
    ties_out(gateway, exchange)
    assert list((gateway.folder / "db").glob("pos.db.other-*"))


def test_a_kill_loses_nothing_that_was_told(gateway: Gateway, exchange: Exchange) -> None:
    gateway.start()
    for _ in range(5):
        client = gateway.client()
        told = client.buy("10")
        gateway.running.kill()
        gateway.start()
        again = Client(gateway, 1, cursor={"gen": told["gen"], "seq": told["seq"] - 1})
        assert again.until(lambda frame: "gen" in frame) == told | {"replayed": True}
        again.close()
    ties_out(gateway, exchange)
    fills = gateway.sql("SELECT symbol, trade_id, venue_id FROM fill", "journal.db")
    assert len(fills) == len(set(fills)) >= 5


@pytest.fixture
def small_disk(gateway: Gateway) -> Iterator[Gateway]:
    """A gateway whose files cannot grow beyond 200 KiB."""
    gateway.start()
    limit = 200 * 1024
    resource.prlimit(gateway.running.popen.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    yield gateway


def until_the_disk_is_full(client: Client) -> list[str]:
    """Orders that rest, until one is refused for want of room.

    How many of them one commit takes is a matter of the disk: perhaps more than the exchange takes at a time.
    """
    orders: list[str] = []

    def is_full() -> bool:
        try:
            orders.append(client.order(type="LIMIT", tif="GTC", price="0.15", qty="10"))
        except Refused as refused:
            assert refused.error["name"] in ("store_failed", "rate_limited"), refused.error
            return bool(refused.error["name"] == "store_failed")
        return False

    eventually(is_full, "a full disk")
    return orders


def buys(client: Client) -> bool:
    """Is an order taken, and filled? Not while as many were sent as the exchange takes at a time."""
    try:
        return str(client.buy("10")["order"]["state"]) == "FILLED"
    except Refused as refused:
        assert refused.error["name"] == "rate_limited", refused.error
        return False


def test_r58_a_full_disk_stops_new_orders_loses_nothing_and_passes(
    small_disk: Gateway, exchange: Exchange
) -> None:
    gateway = small_disk
    client = gateway.client()
    orders = until_the_disk_is_full(client)
    eventually(lambda: gateway.logged("journal_cannot_write"), "a line in the log")
    assert gateway.running.popen.poll() is None
    # Room again: everything is caught up, and trading goes on.
    pid = gateway.running.popen.pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    eventually(lambda: gateway.logged("journal_writes_again"), "a line in the log")
    client.call("cancel_all", n=client.number)
    client.number += 1
    eventually(lambda: buys(client), "an order to be taken")
    assert gateway.running.end(signal.SIGTERM) == 143
    assert gateway.run("verify", "-c=spot.json").returncode == 0
    told = {row[0] for row in gateway.sql("SELECT id FROM orders", "journal.db")}
    assert set(orders) <= told
    gateway.start()
    gateway.client()
    ties_out(gateway, exchange)


def test_r58_a_full_disk_does_not_keep_it_from_ending(small_disk: Gateway, exchange: Exchange) -> None:
    gateway = small_disk
    until_the_disk_is_full(gateway.client())
    assert gateway.running.end(signal.SIGTERM) == 143
    gateway.await_logged("end_was_not_orderly")
    gateway.start()
    client = gateway.client()
    eventually(lambda: buys(client), "an order to be taken")
    ties_out(gateway, exchange)


def test_two_sessions_on_one_symbol_are_kept_apart(gateway: Gateway, exchange: Exchange) -> None:
    gateway.start()
    long, short = gateway.client(1), gateway.client(2)
    long.buy("100")
    order = short.order(side="SELL", type="MARKET", qty="40")
    short.until(lambda frame: ended(frame, order))
    shows(gateway, net(long))
    shows(gateway, net(short), session=2)
    assert net(long) > 0 > net(short)
    ties_out(gateway, exchange)


def test_a_row_that_is_none_is_named_in_the_log_with_the_way_out(gateway: Gateway) -> None:
    gateway.start()
    gateway.client()
    gateway.running.end()
    gateway.sql("INSERT INTO position(session_id, symbol, qty) VALUES(9, 'solusdt', 'abc'), (8, 'ethusd', 1)")
    for _ in range(2):
        gateway.start()
        gateway.client()
        gateway.await_logged("pos_db_row_refused", "mend or DELETE that row and restart")
        delete = "DELETE FROM position WHERE session_id = 8 AND symbol = 'ethusd'"
        gateway.await_logged("edit of pos.db refused", delete)
        gateway.running.end()
    assert len(list((gateway.folder / "db").glob("pos.db.bak-*"))) == 1, "one copy of one edit"
    gateway.sql("DELETE FROM position WHERE session_id IN (8, 9)")
    gateway.start()
    assert gateway.client().buy("1", "solusdt")["order"]["state"] == "FILLED"
