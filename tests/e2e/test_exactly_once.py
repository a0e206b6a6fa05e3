"""A strategy that keeps its cursor in its own transaction has each event once, whatever is killed when.

The oracles are the gateway's journal and the exchange's own file. `TRADINGSYS_SEED` replays a run's draws.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.processes import PATIENCE, Exchange, Gateway, eventually, free_port, whole_lines
from support.strategies import StartStrategy

KILLS = 24
SEED = int(os.environ.get("TRADINGSYS_SEED", "1"))


def rows(file: Path, sql: str) -> list[tuple[Any, ...]]:
    """What the strategy has on its disk; nothing before it has made its file."""
    if not file.exists():
        return []
    with sqlite3.connect(file, timeout=PATIENCE) as db:
        try:
            found = db.execute(sql).fetchall()
        except sqlite3.OperationalError as error:
            assert "no such table" in str(error), error
            found = []
    db.close()
    return found


def told(gateway: Gateway) -> list[dict[str, Any]]:
    """Events of the session in the gateway's journal, in order."""
    found = gateway.sql("SELECT frame FROM event WHERE session = 1 ORDER BY seq", "journal.db")
    return [json.loads(frame) for (frame,) in found]


def acknowledged(gateway: Gateway) -> tuple[int, int]:
    """Up to where the gateway was told that events are handled."""
    sql = "SELECT body FROM record WHERE kind = 'ack' ORDER BY seq DESC LIMIT 1"
    found = [json.loads(body) for (body,) in gateway.sql(sql, "journal.db")]
    return (found[0]["generation"], found[0]["sequence"]) if found else (0, 0)


@pytest.mark.timeout(3_600)
def test_c6_i5_a_strategy_with_its_own_transaction_has_each_event_once(
    desk: tuple[Exchange, Gateway], strategy: StartStrategy, tmp_path: Path
) -> None:
    """24 kills of the strategy, four of the gateway, under a stream of fills."""
    _, gateway = desk
    gateway.config["local"] = f"ws://localhost:{free_port()}"
    gateway.write_config()
    gateway.start()
    file = tmp_path / "own.db"
    example = "../../examples/exactly_once.py"
    process = strategy(example, gateway.url, "1", "dogeusdt", str(file), "0.002")
    rng = random.Random(SEED)
    print(f"seed {SEED}; replay: TRADINGSYS_SEED={SEED} pytest {__file__}")
    seen: Counter[str] = Counter()
    for turn in range(KILLS):
        count = len(rows(file, "SELECT 1 FROM event")) + rng.randint(1, 40)
        eventually(lambda n=count: len(rows(file, "SELECT 1 FROM event")) >= n, "events to be booked")
        # The moment of the kill, not a wait for something.
        time.sleep(rng.uniform(0.0, 0.02))
        process.kill()
        (saved,) = rows(file, "SELECT generation, sequence FROM cursor")
        assert acknowledged(gateway) <= saved, "nothing is acknowledged that the strategy does not remember"
        seen["booked, not acknowledged"] += acknowledged(gateway) < saved
        seen["told, not booked"] += told(gateway)[-1]["seq"] > saved[1]
        if turn % 6 == 5:
            gateway.running.kill()
            gateway.start()
        process.start()
    count = len(rows(file, "SELECT 1 FROM event")) + 10
    eventually(lambda: len(rows(file, "SELECT 1 FROM event")) >= count, "the last of them to work")
    process.popen.send_signal(signal.SIGINT)
    assert process.popen.wait(PATIENCE) == 0, process.words()
    print(dict(seen))
    # How often is a matter of the machine.
    assert seen["booked, not acknowledged"] > 0

    (saved,) = rows(file, "SELECT generation, sequence FROM cursor")
    events = [e for e in told(gateway) if (e["gen"], e["seq"]) <= saved and e["event"] == "order"]
    booked = rows(file, "SELECT generation, sequence, order_id, state FROM event ORDER BY rowid")
    really = [(e["gen"], e["seq"], e["order"]["order_id"], e["order"]["state"]) for e in events]
    assert booked == really, "in order, each once, none missing"
    fills = [trade_id for (trade_id,) in rows(file, "SELECT trade_id FROM fill ORDER BY rowid")]
    trades = [line["trade_id"] for line in whole_lines(tmp_path / "sim" / "trades.jsonl")]
    assert len(fills) > KILLS
    assert sorted(fills) == sorted(trades)[: len(fills)], "what the exchange has executed"
