"""How long a start takes, from all records and from a snapshot: `./dev bench start --rows 500000`.

A journal of orders with two fills each is made, and `spot` is started on it: without a snapshot, and once it
has made one. Timed is what comes before its first line of output. No exchange is needed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchlib.figures import Row, program

DAY = 86_400 * 1_000_000_000
# The gateway keeps acknowledged events of the last seven days.
SPREAD_DAYS = 70


def lives(count: int, generation: int, days: int) -> Iterator[dict[str, Any]]:
    """So many records of a session that only trades."""
    began = time.time_ns() - days * DAY
    yield {"kind": "listing", "symbol": "dogeusdt", "base": "DOGE", "quote": "USDT"}
    made, order = 0, 0
    while made < count:
        order += 1
        for record in life(order, generation, began + made * days * DAY // count):
            made += 1
            yield record


def life(order: int, generation: int, now: int) -> list[dict[str, Any]]:
    """One order, from its command to the acknowledgement of its last event."""
    event = 4 * (order - 1)
    name = f"o00000-0000{order:07x}-made"
    side = "BUY" if order % 2 else "SELL"
    of_it = {"symbol": "dogeusdt", "side": side, "price": "0.2"}
    view = {"order_id": name, "n": order, **of_it, "type": "LIMIT", "qty": "10"}

    def state(word: str, filled: str) -> dict[str, Any]:
        told = {
            "kind": "order_state",
            "id": name,
            "state": word,
            "venue_id": order,
            "qty": "10",
            "price": "0.2",
        }
        return told | {"filled": filled, "time": now}

    def told(number: int, word: str) -> dict[str, Any]:
        position = {"symbol": "dogeusdt", "net": "5", "avg_price": "0.2", "realised": "0.125"}
        more = {"event": "order", "order": view | {"state": word}, "position": position}
        frame = json.dumps({"gen": generation, "seq": number, "time": now} | more, separators=(",", ":"))
        return {"kind": "event", "session": 1, "generation": generation, "sequence": number, "frame": frame}

    def fill(trade: int) -> dict[str, Any]:
        money = {"qty": "5", "quote": "1", "fee": "0.001", "fee_asset": "USDT", "maker": True}
        key = {"trade_id": trade, "venue_id": order, "order": name, "session": 1}
        return {"kind": "fill", **key, **of_it, **money, "time": now}

    placed = {
        "kind": "order",
        "id": name,
        "session": 1,
        **of_it,
        "order_type": "LIMIT",
        "qty": "10",
        "time": now,
    }
    reply = json.dumps({"result": {"n": order, "order_id": name}})
    answer = {"kind": "answer", "session": 1, "epoch": 1, "command": order, "reply": reply, "time": now}
    ack = {"kind": "ack", "session": 1, "generation": generation, "sequence": event + 4, "time": now}
    return [
        placed, answer, state("NEW", "0"), told(event + 1, "NEW"),
        fill(2 * order - 1), state("PARTIALLY_FILLED", "5"), told(event + 2, "PARTIALLY_FILLED"),
        fill(2 * order), state("FILLED", "10"), told(event + 3, "FILLED"), told(event + 4, "FILLED"), ack,
    ]  # fmt: skip


def has_rows(journal: Path) -> bool:
    """Has the gateway written down that it began?"""
    with closing(sqlite3.connect(journal)) as file:
        return bool(file.execute("SELECT count(*) FROM record WHERE kind = 'generation'").fetchone()[0])


def grow(journal: Path, count: int, days: int) -> None:
    """Appends so many records to a gateway's journal."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as file:
        seq, total = file.execute("SELECT seq, sum FROM record ORDER BY seq DESC LIMIT 1").fetchone()
        query = "SELECT body ->> '$.generation' FROM record WHERE kind = 'generation' ORDER BY seq DESC"
        (generation,) = file.execute(query).fetchone()

        def rows() -> Iterator[tuple[int, str, str, str]]:
            last = total
            for number, record in enumerate(lives(count, generation, days), seq + 1):
                text = json.dumps(record, separators=(",", ":"))
                last = hashlib.sha256(f"{last}{number}\n{text}".encode()).hexdigest()
                yield number, record["kind"], text, last

        file.execute("BEGIN")
        file.executemany("INSERT INTO record VALUES(?, ?, ?, ?)", rows())
        file.execute("COMMIT")
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def started(folder: Path) -> Iterator[float]:
    """A gateway that runs, and how many seconds it took to listen."""
    program = Path(os.environ.get("TRADINGSYS_BIN_DIR", "target/debug")).resolve() / "spot"
    began = time.perf_counter()
    with (folder / "errors").open("ab") as errors:
        process = subprocess.Popen(
            [program, "-c=spot.json"], cwd=folder, stdout=subprocess.PIPE, stderr=errors
        )
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit((folder / "errors").read_text())
        yield time.perf_counter() - began
    finally:
        process.kill()
        process.wait()


def timed(folder: Path, times: int) -> float:
    """Seconds of the median start."""
    found = []
    for _ in range(times):
        with started(folder) as took:
            found.append(took)
    return statistics.median(found)


def measure(folder: Path, options: argparse.Namespace) -> list[Row]:
    """A row for each way to start."""
    rows, times = options.rows, options.times
    config = {
        "apikey": "bench", "pem": "private_key.pem", "local": "ws://localhost:0", "db": "db",
        "token_file": "token", "pause_after_crashes": 1000,
        "endpoints": {"ws_api": "ws://127.0.0.1:9/ws-api/v3", "streams": "ws://127.0.0.1:9"},
    }  # fmt: skip
    program = Path(os.environ.get("TRADINGSYS_BIN_DIR", "target/debug")).resolve() / "spot"
    subprocess.run([program, "keygen"], cwd=folder, check=True, stdout=subprocess.DEVNULL)

    every = min(20_000, rows // 2)

    def configured(**more: int) -> None:
        (folder / "spot.json").write_text(json.dumps(config | more))

    configured(snapshot_rows=0)
    journal, snapshot = folder / "db" / "journal.db", folder / "db" / "journal.snapshot"
    with started(folder):
        while not has_rows(journal):
            time.sleep(0.05)
    grow(journal, rows, options.days)
    without = timed(folder, times)
    found: list[Row] = [
        {"start": f"{rows} rows, all records", "seconds": without, "MiB": journal.stat().st_size >> 20}
    ]
    configured(snapshot_rows=every)
    with started(folder):
        began = time.perf_counter()
        while not snapshot.exists():
            time.sleep(0.05)
        made = time.perf_counter() - began
    with_one = timed(folder, times)
    size = snapshot.stat().st_size >> 20
    with_snapshot = {"start": "the same, from a snapshot", "seconds": with_one, "MiB": size}
    return [*found, with_snapshot | {"made while it ran, s": made, "times as fast": without / with_one}]


def options_of_ours(parser: argparse.ArgumentParser) -> None:
    """How much is made, and how often it is started."""
    spread = "days the rows are spread over (70); the events of the last seven are kept"
    parser.add_argument("--days", type=int, default=SPREAD_DAYS, help=spread)
    parser.add_argument("--rows", type=int, default=500_000, help="rows of the journal (500000)")
    parser.add_argument(
        "--times", type=int, default=3, help="starts of each kind, of which the median counts (3)"
    )


def rows_of(options: argparse.Namespace) -> list[Row]:
    """Makes a journal and measures."""
    if options.quick:
        options.rows, options.times = 3_000, 1
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder), options)


if __name__ == "__main__":
    sys.exit(program("start", __doc__, rows_of, options_of_ours))
