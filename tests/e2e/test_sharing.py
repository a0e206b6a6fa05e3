"""Several strategies on one account, one of them slow, and a user with SQL."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal
from pathlib import Path

from support.processes import PATIENCE, Exchange, Gateway, ended, eventually
from support.strategies import StartStrategy

Desk = tuple[Exchange, Gateway]


def test_row_004_15_16_two_strategies_keep_their_own_positions(desk: Desk, tmp_path: Path) -> None:
    """One long, one short: the positions separate, and their sum is what the account's trades made."""
    _, gateway = desk
    gateway.start()
    long, short = gateway.client(1), gateway.client(2)
    long.buy("100")
    sold = short.order(side="SELL", type="MARKET", qty="40")
    short.until(lambda frame: ended(frame, sold))
    eventually(lambda: gateway.position(1) == "99.9" and gateway.position(2) == "-40", "both rows")
    trades = [json.loads(line) for line in (tmp_path / "sim" / "trades.jsonl").read_text().splitlines()]
    total = Decimal(0)
    for trade in trades:
        total += Decimal(trade["qty"]) * (1 if trade["side"] == "BUY" else -1)
        if trade["commission_asset"] == "DOGE":
            total -= Decimal(trade["commission"])
    assert total == Decimal("99.9") - 40
    assert not any(frame.get("event") == "order" for frame in long.frames), "the other's orders are not told"


def test_row_004_86_r21_an_edit_by_sql_and_a_restart_are_honoured(desk: Desk, tmp_path: Path) -> None:
    """Run the gateway, trade, edit pos.db, restart: the edited value holds, and the books still add up."""
    _, gateway = desk
    gateway.start()
    client = gateway.client(1)
    client.buy("100")
    eventually(lambda: gateway.position(1) == "99.9", "the row")
    client.close()
    assert gateway.running.end() in (130, 143)
    with sqlite3.connect(tmp_path / "db" / "pos.db") as db:
        db.execute("UPDATE position SET qty='60' WHERE session_id=1 AND symbol='dogeusdt'")
    db.close()
    gateway.start()
    client = gateway.client(1)
    positions = client.call("positions", symbols=["dogeusdt"])["positions"]
    assert positions[0]["net"] == "60"

    def rows() -> dict[str, str]:
        return dict(gateway.sql("SELECT owner, amount FROM _asset WHERE asset='DOGE'"))

    entries = {"1": "60", "unattributed": "39.9"}
    eventually(lambda: entries.items() <= rows().items(), "the counter-entry")
    client.buy("10")
    eventually(lambda: gateway.position(1) == "69.99", "trading to go on from the edited value")


def test_a_callback_that_sleeps_gets_the_newest_and_loses_nothing(
    desk: Desk, strategy: StartStrategy, tmp_path: Path
) -> None:
    """Five seconds asleep: the next best offer is the present one, and no private event is missing."""
    exchange, gateway = desk
    gateway.start()
    heard = tmp_path / "heard.jsonl"
    rest = str(exchange.listening["rest"])
    sleeper = strategy("strategies/sleeper.py", gateway.url, rest, str(heard))
    eventually(lambda: heard.exists() and "slept" in heard.read_text(), "the callback to have slept")
    eventually(lambda: "done" in heard.read_text(), "the strategy to end")
    lines = [json.loads(line) for line in heard.read_text().splitlines()]
    slept = next(i for i, line in enumerate(lines) if line[0] == "slept")
    before, after = lines[slept], next(line for line in lines[slept:] if line[0] == "bbo")
    # Had they queued, it would be the next one; how new it can be is for a machine that stands still to say.
    assert after[1] - before[1] > (before[2] - before[1]) / 4, "updates in between were left out"
    cursors = [line[1] for line in lines if line[0] == "order"]
    assert cursors == [[cursors[0][0], n] for n in range(1, len(cursors) + 1)]
    assert len(cursors) >= 20
    assert sleeper.popen.wait(PATIENCE) == 0
