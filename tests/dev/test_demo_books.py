"""The demo's comparison of the gateway's books with the exchange's files: it must see every kind of lie."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from demolib import books

OURS = "o7cz1k-169230001-00017"
ASSETS = {("1", "DOGE"): "9.99", ("1", "USDT"): "-2", ("external", "USDT"): "100", ("external", "BTC"): "1"}
ACCOUNT = {"USDT": Decimal(98), "BTC": Decimal(1), "DOGE": Decimal("9.99")}


def trade(account: str) -> dict[str, Any]:
    """A line of the exchange's trade file."""
    return {
        "trade_id": 5, "symbol": "DOGEUSDT", "order_id": 12, "client_order_id": OURS, "account": account,
        "side": "BUY", "price": "0.2", "qty": "10", "quote": "2", "commission": "0.01",
        "commission_asset": "DOGE", "time": 1732196586000, "maker": True,
    }  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Books that agree with the exchange: one fill of 10 DOGE for session 1."""
    (tmp_path / "trades.jsonl").write_text(
        json.dumps(trade("demo")) + "\n" + json.dumps(trade("other")) + "\n", encoding="utf-8"
    )
    with sqlite3.connect(tmp_path / "journal.db") as journal:
        journal.execute("CREATE TABLE fill(symbol, trade_id, venue_id, session, side, qty, fee, fee_asset)")
        journal.execute("INSERT INTO fill VALUES('dogeusdt', 5, 12, 1, 'BUY', '10', '0.01', 'DOGE')")
        journal.execute("CREATE TABLE orders(session)")
        journal.execute("INSERT INTO orders VALUES(1), (1), (NULL)")
    journal.close()
    with sqlite3.connect(tmp_path / "pos.db") as positions:
        positions.execute("CREATE TABLE position(session_id, symbol, qty)")
        positions.execute("INSERT INTO position VALUES(1, 'dogeusdt', '9.99')")
        positions.execute("CREATE TABLE _asset(owner, asset, amount)")
        rows = [(owner, asset, amount) for (owner, asset), amount in ASSETS.items()]
        positions.executemany("INSERT INTO _asset VALUES(?, ?, ?)", rows)
        positions.execute("CREATE TABLE _fee(session_id, asset, amount)")
        positions.execute("INSERT INTO _fee VALUES(1, 'DOGE', '0.01')")
        positions.execute("CREATE TABLE _profit(session_id, symbol, realised, quote)")
        positions.execute("INSERT INTO _profit VALUES(1, 'dogeusdt', '-0.5', 'USDT')")
    positions.close()
    return tmp_path


def compare(place: Path) -> tuple[list[str], list[str]]:
    """Assets that do not tie out, and fills that differ."""
    lines = books.tie_out(place, ACCOUNT)
    assert {"BTC", "DOGE", "USDT"} <= {line.asset for line in lines}
    broken = [line.asset for line in lines if not line.holds]
    return broken, books.fill_differences(place, books.trades(place, "demo"))


def change(place: Path, database: str, sql: str) -> None:
    connection = sqlite3.connect(place / database)
    connection.execute(sql)
    connection.commit()
    connection.close()


def test_agreeing_books_hold(place: Path) -> None:
    assert compare(place) == ([], [])
    assert books.sessions(place) == [
        books.SessionBooks(
            session=1,
            orders=2,
            fills=1,
            positions={"dogeusdt": Decimal("9.99")},
            fees={"DOGE": Decimal("0.01")},
            realised={"USDT": Decimal("-0.5")},
        )
    ]
    so_far = books.SessionBooks(1, 2, 1, {"dogeusdt": Decimal("9.99")}, {"DOGE": Decimal("0.01")})
    assert books.sessions_so_far(place) == [so_far]


def test_the_account_is_what_the_exchange_shows(tmp_path: Path) -> None:
    balances = [{"asset": "USDT", "free": "90", "locked": "8"}]
    accounts = [
        {"name": "other", "balances": [], "orders": [{}]},
        {"name": "demo", "balances": balances, "orders": []},
    ]
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "state").write_text(json.dumps({"accounts": accounts}), encoding="utf-8")
    assert books.exchange_account(tmp_path.as_uri(), "demo") == ({"USDT": Decimal(98)}, 0)


def test_files_that_are_not_there_yet_are_told_from_empty_ones(tmp_path: Path) -> None:
    with pytest.raises(books.Unreadable):
        books.sessions_so_far(tmp_path)


def test_an_ignored_fee_shows(place: Path) -> None:
    change(place, "pos.db", "UPDATE _asset SET amount = '10' WHERE owner = '1' AND asset = 'DOGE'")
    assert compare(place) == (["DOGE"], [])


def test_an_unattributed_amount_shows_even_where_the_sum_holds(place: Path) -> None:
    change(place, "pos.db", "INSERT INTO _asset VALUES('unattributed', 'BTC', '0.5')")
    change(place, "pos.db", "UPDATE _asset SET amount = '0.5' WHERE asset = 'BTC' AND owner = 'external'")
    assert compare(place) == (["BTC"], [])


def test_a_lost_fill_shows(place: Path) -> None:
    change(place, "journal.db", "DELETE FROM fill")
    assert compare(place)[1] == ["not booked: dogeusdt trade 5 of order 12, session 1"]


def test_a_fill_counted_twice_shows(place: Path) -> None:
    change(place, "journal.db", "INSERT INTO fill SELECT * FROM fill")
    assert compare(place)[1] == ["booked but not traded: dogeusdt trade 5 of order 12, session 1"]


def test_a_fill_of_another_session_shows(place: Path) -> None:
    change(place, "journal.db", "UPDATE fill SET session = 2")
    assert len(compare(place)[1]) == 2


@pytest.mark.parametrize(
    ("text", "session"),
    [(OURS, 1), ("c7cz1k-1692300bb-00017", 310), ("web_abc", None), ("x" * 30, None)],
)
def test_the_session_in_an_order_id(text: str, session: int | None) -> None:
    assert books.session_of(text) == session
