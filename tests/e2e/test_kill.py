"""`kill -9` of gateway and strategies while commands, cancels and fills are in flight.

The oracles are the exchange's own journals and each strategy's own file. `TRADINGSYS_SEED` replays a run's
draws.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyalgo._verify import verify
from support.log import told
from support.processes import PATIENCE, Exchange, Gateway, eventually, free_port, whole_lines
from support.strategies import StartStrategy, Strategy

KILLS = 50
# What a kill may fall into: it goes on until each has been met, on a machine where one of them is seldom.
MOST_KILLS = 300
STATES = (
    "intended, not at the exchange",
    "sent, unacknowledged",
    "filled, uncommitted",
    "committed, not handled",
    "recovering",
)
SEED = int(os.environ.get("TRADINGSYS_SEED", "1"))


class Bookkeeper:
    """Reads what really happened, and what the journal knows."""

    def __init__(self, folder: Path, gateway: Gateway) -> None:
        self.folder = folder
        self.gateway = gateway

    def trades(self) -> list[Any]:
        """The exchange's trades of the account."""
        return whole_lines(self.folder / "sim" / "trades.jsonl")

    def placed(self) -> Counter[str]:
        """How often each client id was placed at the exchange."""
        orders = whole_lines(self.folder / "sim" / "orders.jsonl")
        return Counter(o["client_order_id"] for o in orders if o["event"] == "NEW")

    def await_growth(self, journal: str) -> None:
        """Until the exchange writes the next line of that journal; spins, to be there at once."""
        file = self.folder / "sim" / journal
        size, until = file.stat().st_size, time.monotonic() + 5
        while file.stat().st_size == size and time.monotonic() < until:
            pass

    def open_orders(self) -> list[str]:
        """Client ids of the orders that are open at the exchange."""
        last = {o["order_id"]: o for o in whole_lines(self.folder / "sim" / "orders.jsonl")}
        return [o["client_order_id"] for o in last.values() if o["status"] in ("NEW", "PARTIALLY_FILLED")]

    def records(self, kind: str) -> list[Any]:
        """Records of one kind in the journal."""
        with sqlite3.connect(self.folder / "db" / "journal.db", timeout=PATIENCE) as db:
            rows = db.execute("SELECT body FROM record WHERE kind=? ORDER BY seq", [kind]).fetchall()
        db.close()
        return [json.loads(row[0]) for row in rows]

    def events(self, session: int) -> list[Any]:
        """What the strategy has written down."""
        return [line for line in whole_lines(self.folder / f"s{session}.jsonl") if line[0] == "event"]

    def interrupted(self, recovering: bool) -> set[str]:
        """What the kill of the gateway just now cut short."""
        found = {"recovering"} if recovering else set()
        known = {o["id"] for o in self.records("order")}
        acknowledged = {o["id"] for o in self.records("order_state")}
        placed = set(self.placed())
        if placed - known:
            found.add("sent, not on disk")
        if placed & known - acknowledged:
            found.add("sent, unacknowledged")
        if known - placed:
            found.add("intended, not at the exchange")
        fills = {(f["trade_id"], f["venue_id"]) for f in self.records("fill")}
        if {(t["trade_id"], t["order_id"]) for t in self.trades()} - fills:
            found.add("filled, uncommitted")
        return found

    def unheard(self, session: int) -> bool:
        """Are there committed events the strategy, just killed, has not written down?"""
        last = max((e["sequence"] for e in self.records("event") if e["session"] == session), default=0)
        heard = max((e[1][1] for e in self.events(session)), default=0)
        return bool(last > heard)


def revive(processes: list[Strategy]) -> None:
    """Strategies come back by themselves; one that began while there was no gateway must be started again."""
    for process in processes:
        if process.popen.poll() is not None:
            process.start()


@pytest.mark.timeout(7_200)
def test_r51_r52_i1_i5_killed_a_hundred_times(
    desk: tuple[Exchange, Gateway], strategy: StartStrategy, tmp_path: Path
) -> None:
    """50 kills of the gateway, 50 of a strategy; half of them with private events being dropped."""
    exchange, gateway = desk
    gateway.config["local"] = f"ws://localhost:{free_port()}"
    gateway.write_config()
    gateway.start()
    books = Bookkeeper(tmp_path, gateway)
    rng = random.Random(SEED)
    files = [tmp_path / "s1.jsonl", tmp_path / "s2.jsonl"]
    processes = [
        strategy("strategies/restless.py", gateway.url, str(k + 1), str(files[k]), f"{SEED}.{k}")
        for k in (0, 1)
    ]
    eventually(lambda: len(books.trades()) > 5, "strategies to trade")
    seen: Counter[str] = Counter()
    print(f"seed {SEED}; replay: TRADINGSYS_SEED={SEED} pytest {__file__}")
    run_began = 0
    for turn in range(MOST_KILLS):
        if turn >= KILLS and all(seen[state] for state in STATES):
            break
        if turn == KILLS // 2:
            exchange.control("POST", "/control/faults", [{"fault": "event.drop", "probability": 0.05}])
        kill_gateway(gateway, books, rng, seen, run_began)
        run_began = len(gateway.running.log())
        gateway.start()
        revive(processes)
        victim = rng.randrange(2)
        pause(rng, 0.0, 0.3)
        processes[victim].kill()
        pause(rng, 0.0, 0.05)
        seen["committed, not handled"] += books.unheard(victim + 1)
        processes[victim].start()
    exchange.control("DELETE", "/control/faults")
    finish(processes, files)
    print(dict(seen))
    check(books)
    for state in STATES:
        assert seen[state], f"no kill fell into: {state}; {dict(seen)}"


def kill_gateway(
    gateway: Gateway, books: Bookkeeper, rng: random.Random, seen: Counter[str], run_began: int
) -> None:
    """Kills it at a moment drawn by seed: every third while it compares with the exchange."""

    def states() -> list[str]:
        return [line.fields["state"] for line in told(gateway.running.log()[run_began:], "state")]

    if rng.random() < 0.35:
        eventually(states, "the comparison to begin")
        pause(rng, 0.0, 0.1)
    else:
        eventually(lambda: "Ready" in states(), "orders to be taken")
        pause(rng, 0.1, 0.6)
        # The exchange has written something down: its word is on the way, the gateway's is not on disk.
        books.await_growth(rng.choice(["orders.jsonl", "trades.jsonl"]))
    gateway.running.kill()
    seen.update(books.interrupted(recovering=states()[-1] == "Recovering"))


def pause(rng: random.Random, least: float, most: float) -> None:
    """Lets a drawn moment pass: the moment of a kill, not a wait for something."""
    time.sleep(rng.uniform(least, most))


def finish(processes: list[Strategy], files: list[Path]) -> None:
    """Strategies cancel what is open, write their last lines and end by themselves."""
    for file in files:
        file.with_suffix(".end").touch()

    def ended(process: Strategy) -> bool:
        if process.popen.poll() not in (None, 0):
            process.start()
        return process.popen.poll() == 0

    for process in processes:
        eventually(partial(ended, process), "the strategy to end in order")


def check(books: Bookkeeper) -> None:
    """Every fill once and under its session; every event in order and once; nothing open."""
    trades = books.trades()
    eventually(lambda: len(books.records("fill")) >= len(trades), "all fills to be booked")
    fills = books.records("fill")
    booked = Counter((f["trade_id"], f["venue_id"]) for f in fills)
    assert set(booked) == {(t["trade_id"], t["order_id"]) for t in trades}
    assert set(booked.values()) == {1}
    owners = {(t["trade_id"], t["order_id"]): session_of(t["client_order_id"]) for t in trades}
    assert all(owners[(f["trade_id"], f["venue_id"])] == f["session"] for f in fills)
    assert set(books.placed().values()) == {1}, "one order per command"
    for session in (1, 2):
        cursors = [tuple(e[1]) for e in books.events(session)]
        assert cursors == sorted(set(cursors)), "in order, each once"
        told = Counter(e[4] for e in books.events(session) if e[4] is not None)
        real = Counter(t["trade_id"] for t in trades if session_of(t["client_order_id"]) == session)
        assert told == real, f"session {session} was told each of its fills once"
    assert books.open_orders() == []
    # `pos.db` follows the journal at some distance.
    eventually(lambda: verify(books.folder / "db").holds, "the files to agree")


def session_of(client_order_id: str) -> int:
    """The session in an order's id, read by its place: docs/protocol.md, order ids."""
    return int(client_order_id[12:16])
