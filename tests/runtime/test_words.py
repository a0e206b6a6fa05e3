"""Words from outside that mean something to SQL, to a log or to a terminal: they are refused, or kept as what
they are.

A strategy's come through the local protocol, a user's through `pos.db`.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from support.processes import Client, Gateway, Refused, eventually

# What blanks are refused for would not stop.
PASTED = "';DROP/**/TABLE/**/position;--"
WORDS = {
    "sql": "';DROP TABLE position;--",
    "sql without a blank": PASTED,
    "sql of the journal": '"); DELETE FROM record; --',
    "a nul": "doge\0usdt",
    "turned": "\u202etdsu\u2066egod",
    "a line of the log": "doge\n[2026-01-01T00:00:00Z spot ERROR] all is lost",
    "very long": "x" * 60_000,
}
FILES = ("journal.db", "pos.db")
named = pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)


def schema(gateway: Gateway) -> dict[str, list[tuple[Any, ...]]]:
    """All tables, views and triggers of both files."""
    text = "SELECT type, name, sql FROM sqlite_schema ORDER BY name"
    return {file: gateway.sql(text, file) for file in FILES}


def outcome(client: Client, method: str, **params: Any) -> str:
    """The name under which a call is refused; empty if it is answered."""
    try:
        client.call(method, **params)
    except Refused as refused:
        return str(refused.error["name"])
    return ""


@named
def test_r74_words_of_a_strategy_are_refused_or_kept_as_they_are(gateway: Gateway, word: str) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    eventually(lambda: gateway.position() not in (None, "0"), "the row")
    before, (held,) = schema(gateway), gateway.sql("SELECT * FROM position")
    asked = [
        ("order", {"n": client.number, "symbol": word, "side": "BUY", "type": "MARKET", "qty": "10"}),
        ("cancel", {"n": client.number + 1, "order_id": word}),
        ("cancel_all", {"n": client.number + 2, "symbol": word}),
        ("amend", {"n": client.number + 3, "order_id": word, "qty": "5"}),
        ("subscribe", {"streams": [f"{word}@bbo"]}),
        ("history", {"symbol": word, "interval": "1m", "count": 3}),
        ("products", {"symbols": [word]}),
    ]
    names = {method: outcome(client, method, **params) for method, params in asked}
    assert names == {
        "order": "invalid_symbol", "cancel": "unknown_order", "cancel_all": "invalid_symbol",
        "amend": "unknown_order", "subscribe": "invalid_symbol", "history": "invalid_symbol",
        "products": "invalid_symbol",
    }  # fmt: skip
    assert client.call("orders", symbols=[word])["orders"] == []
    (row,) = client.call("positions", symbols=[word])["positions"]
    assert (row["symbol"], row["net"]) == (word.lower(), "0")
    named_so = Client(gateway, 2, name=word) if len(word) <= 256 else None
    # An answer is kept as it was given, with the word in it, and read from the disk after a death.
    kept = {"epoch": client.seat["epoch"], "method": "order", "params": asked[0][1]}
    gateway.running.kill()
    gateway.start()
    again = gateway.client(pending=[kept])
    (answer,) = again.seat["answers"]
    assert answer["error"]["name"] == "invalid_symbol"
    assert repr_in_rust(word.lower()) in answer["error"]["message"]
    assert named_so is None or named_so.seat["name"] == word
    assert again.buy("10")["order"]["state"] == "FILLED"
    eventually(lambda: gateway.sql("SELECT * FROM position") != [held], "the row to follow")
    assert schema(gateway) == before
    for file in FILES:
        assert gateway.sql("PRAGMA integrity_check", file) == [("ok",)]


def repr_in_rust(word: str) -> str:
    """As messages quote it: what ends a text, a line or its direction is escaped."""
    table = {ord('"'): '\\"', ord("\0"): "\\0", ord("\n"): "\\n", 0x202E: "\\u{202e}", 0x2066: "\\u{2066}"}
    return f'"{word.translate(table)}"'


def edit(gateway: Gateway, text: str, *values: str) -> None:
    """A user's statement, whose values no quoting comes near."""
    path: Path = gateway.folder / "db" / "pos.db"
    with sqlite3.connect(path) as connection:
        connection.execute(text, values)
    connection.close()


@named
def test_r74_words_in_rows_of_pos_db_are_named_and_change_nothing(gateway: Gateway, word: str) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    eventually(lambda: gateway.position() not in (None, "0"), "the row")
    gateway.running.end()
    before = schema(gateway)
    insert = "INSERT INTO position(session_id, symbol, qty, avg_price) VALUES(3, ?, '4', '0.25')"
    edit(gateway, insert, word)
    spoiled = {"market": "dogeusdt", "side": "ethusdt", "qty": "solusdt", "avg_price": "bnbusdt"}
    for column, symbol in spoiled.items():
        edit(gateway, insert, symbol)
        edit(gateway, f"UPDATE position SET {column} = ? WHERE session_id = 3 AND symbol = ?", word, symbol)
    rows = gateway.sql("SELECT * FROM position ORDER BY rowid")
    gateway.start()
    client = gateway.client()
    for symbol in spoiled.values():
        with pytest.raises(Refused, match="bad_position"):
            client.order(symbol, type="MARKET", qty="1")
    assert client.buy("0.01", "btcusdt")["order"]["state"] == "FILLED"
    gateway.running.end()
    assert schema(gateway) == before
    stand = gateway.sql("SELECT * FROM position ORDER BY rowid")
    assert stand[: len(rows)] == rows, "as the user has written them"


@pytest.mark.parametrize("word", [PASTED, "\u202etdsu\u2066egod", "it's"])
def test_r74_the_advice_for_a_row_can_be_followed(gateway: Gateway, word: str) -> None:
    """It is SQL with the user's own word in it."""
    gateway.start()
    gateway.client().buy("10")
    eventually(lambda: gateway.position() not in (None, "0"), "the row")
    gateway.running.end()
    (held,), before = gateway.sql("SELECT * FROM position"), schema(gateway)
    edit(gateway, "INSERT INTO position(session_id, symbol, qty) VALUES(3, ?, '4')", word)
    gateway.start()
    (refused,) = gateway.await_logged("edit of pos.db refused")
    gateway.running.end()
    advice = refused.fields["reason"].partition(" and run ")[2]
    with sqlite3.connect(gateway.folder / "db" / "pos.db") as connection:
        # As a shell takes it: one statement after the other.
        connection.executescript(advice)
    connection.close()
    assert gateway.sql("SELECT * FROM position") == [held]
    assert schema(gateway) == before
