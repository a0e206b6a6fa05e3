"""Deaths of a gateway at named places, a user who edits `pos.db` meanwhile, and the judgement of the rest.

The oracles are the exchange's own files, the strategies' own files, and the user's own sums.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from support.processes import PATIENCE, Exchange, Gateway, Process, eventually, free_port, program, trading
from support.strategies import Strategy

VARIABLE = "TRADINGSYS_FAILPOINT"
TIRELESS = Path(__file__).parents[1] / "e2e" / "strategies" / "tireless.py"
SESSIONS = (1, 2)
SYMBOL = "dogeusdt"
# Only a new journal comes by.
ONLY_FIRST = "mid_creation"
# At which passing a death may be, at most; elsewhere at the first.
PASSINGS = {
    "after_frame_received": 60,
    "before_append": 40,
    "mid_append": 40,
    "after_append": 40,
    "before_publish": 20,
    "mid_publish": 20,
    "after_publish": 20,
    "before_send": 8,
    "after_send": 8,
    "after_accept": 8,
    "after_ack_received": 8,
    "after_fill_received": 8,
    "before_projection": 3,
    "mid_projection": 3,
    "after_projection": 3,
}
OVER = ("FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH")


def places(gateway: Gateway) -> list[str]:
    """All there are, as the program itself names them when it is asked for one it does not have."""
    refused = Process([program(gateway.exe), f"-c={gateway.exe}.json"], gateway.folder, env=armed("nowhere"))
    code = refused.popen.wait(PATIENCE)
    assert code == 78, (
        f"built without failpoints? ./dev build makes them; it ended with {code}: {refused.log()}"
    )
    (line,) = (line for line in refused.log().splitlines() if "no place" in line and "there are" in line)
    return line.split("there are ")[1].strip().strip('"').split(", ")


def armed(words: str) -> dict[str, str]:
    """The environment of a gateway that will come by that place."""
    return os.environ | {VARIABLE: words}


def lines(file: Path) -> list[Any]:
    """Complete lines of JSON."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


class User:
    """Types numbers over what `pos.db` shows, and remembers what was meant."""

    def __init__(self, file: Path, rng: random.Random) -> None:
        self.file = file
        self.rng = rng
        self.meant: dict[int, Decimal] = defaultdict(Decimal)
        self.edits = 0

    def edit(self) -> bool:
        """A number more or less in some row, typed over the one that stands there; `False`: it is locked."""
        if not self.file.exists():
            return False
        session = self.rng.choice(SESSIONS)
        change = Decimal(self.rng.choice([-1, 1]) * self.rng.randint(1, 99_999)) / 1000
        try:
            with closing(
                sqlite3.connect(f"file:{self.file}?mode=rw", 0.05, isolation_level=None, uri=True)
            ) as db:
                db.execute("BEGIN IMMEDIATE")
                where = "session_id = ? AND symbol = ?"
                row = db.execute(f"SELECT qty FROM position WHERE {where}", [session, SYMBOL]).fetchone()
                if row is None:
                    return False
                typed = f"{Decimal(row[0]) + change:f}"
                db.execute(f"UPDATE position SET qty = ? WHERE {where}", [typed, session, SYMBOL])
                db.execute("COMMIT")
        except sqlite3.OperationalError:
            return False
        self.meant[session] += change
        self.edits += 1
        return True

    def delete(self) -> bool:
        """A row is deleted: its session shall have nothing; `False`: it is locked, or there is none."""
        session = self.rng.choice(SESSIONS)
        try:
            with closing(
                sqlite3.connect(f"file:{self.file}?mode=rw", 0.05, isolation_level=None, uri=True)
            ) as db:
                where = "session_id = ? AND symbol = ?"
                gone = db.execute(f"DELETE FROM position WHERE {where} RETURNING qty", [session, SYMBOL])
                rows = gone.fetchall()
        except sqlite3.OperationalError:
            return False
        for (qty,) in rows:
            self.meant[session] -= Decimal(qty)
            self.edits += 1
        return bool(rows)

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """Sessions and what they hold, but for nothing."""
        found = self.read(f"SELECT session_id, qty FROM {table} WHERE symbol = '{SYMBOL}'")
        return [row for row in found if Decimal(row[1])]

    def sees_rows(self) -> bool:
        """Is there a row of each session?"""
        with suppress(sqlite3.OperationalError):
            return len(self.read("SELECT session_id FROM position")) == len(SESSIONS)
        return False

    def is_done(self) -> bool:
        """Does every row stand as the gateway has shown it?"""
        return self.rows("position") == self.rows("_shadow")

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows; a lock is waited for."""
        with closing(sqlite3.connect(f"file:{self.file}?mode=rw", PATIENCE, uri=True)) as db:
            return sorted(db.execute(sql).fetchall())


class House:
    """An exchange and two sessions that stay up, a gateway that dies again and again, and a user."""

    def __init__(self, exchange: Exchange, gateway: Gateway, seed: int) -> None:
        self.exchange = exchange
        self.gateway = gateway
        self.folder = gateway.folder
        self.books = self.folder / str(gateway.config["db"])
        self.rng = random.Random(seed)
        self.user = User(self.books / "pos.db", self.rng)
        self.strategy: Strategy | None = None
        self.seed = seed
        self.deaths: Counter[str] = Counter()
        gateway.config["local"] = f"ws://localhost:{free_port()}"
        gateway.write_config()
        self.places = places(gateway)

    def launch(self, failpoint: str | None = None) -> Process:
        """Starts the gateway, armed or not."""
        environment = dict(os.environ) if failpoint is None else armed(failpoint)
        command: list[str | Path] = [program(self.gateway.exe), f"-c={self.gateway.exe}.json", "-l=error"]
        self.gateway.process = Process(command, self.folder, env=environment)
        self.gateway.process.armed = failpoint is not None
        return self.gateway.process

    def begin(self) -> None:
        """The first start dies while the journal is made; then the strategies come."""
        self.die(ONLY_FIRST)
        self.launch().await_listening()
        environment = {"TRADINGSYS_TOKEN_FILE": str(self.folder / str(self.gateway.config["token_file"]))}
        arguments = (self.gateway.url, str(self.folder), str(self.seed))
        self.strategy = Strategy(self.folder, TIRELESS, *arguments, environment=environment)
        eventually(lambda: len(self.trades()) > 5, "strategies to trade")
        eventually(self.user.sees_rows, "both rows in pos.db")
        self.gateway.running.kill()

    def die(self, place: str) -> None:
        """One life that ends at that place."""
        self.prepare(place)
        passing = self.rng.randint(1, PASSINGS.get(place, 1))
        log = self.folder / f"{self.gateway.exe}.err"
        said = log.stat().st_size if log.exists() else 0
        process = self.launch(f"{place}:{passing}")
        began = time.monotonic()
        hand = self.meddle(place)
        while process.popen.poll() is None:
            assert time.monotonic() < began + PATIENCE, f"{place}:{passing} was not reached in {PATIENCE:g} s"
            next(hand, None)
            time.sleep(0.003)
        words = log.read_bytes()[said:].decode(errors="replace")[-4000:]
        code = process.popen.returncode
        assert code == -signal.SIGKILL, f"{place}:{passing} ended with {code}: {words}"
        # Other threads may have said something more before they died.
        assert f"failpoint {place}\n" in words, f"{place}:{passing}: {words}"
        self.deaths[place] += 1
        if self.strategy is not None:
            assert self.strategy.popen.poll() is None, (
                f"it comes back by itself: {self.strategy.words()[-2000:]}"
            )

    def prepare(self, place: str) -> None:
        """What has to be so for a gateway to come by."""
        if place in ("mid_edit", "after_edit"):
            if not self.user.sees_rows():
                self.settle()
            eventually(self.user.edit, "the file to edit")
        elif place == "mid_migration":
            for copy in self.books.glob("journal.db.bak-*"):
                copy.unlink()
            with closing(sqlite3.connect(self.books / "journal.db", isolation_level=None)) as db:
                for index in ("funding", "charge", "allocation"):
                    # A death in the middle may have left it so.
                    db.execute(f"DROP INDEX IF EXISTS record_{index}")
                db.execute("PRAGMA user_version = 1")
        elif place == "mid_rebuild":
            # With the file goes what was not taken from it: there shall be nothing.
            self.settle()

    def settle(self) -> None:
        """A life without a failpoint, until all edits are taken and all rows are shown."""
        self.launch().await_listening()
        eventually(self.user.sees_rows, "both rows in pos.db")
        eventually(self.user.is_done, "all edits to be taken and shown")
        self.gateway.running.kill()

    def meddle(self, place: str) -> Iterator[None]:
        """What user and operator do while it lives, a look at a time."""
        listens = self.folder / f"{self.gateway.exe}.out"
        if place in ("before_end", "mid_rebuild"):
            while b"\n" not in listens.read_bytes():
                yield
            until = time.monotonic() + self.rng.uniform(0.0, 0.4)
            while time.monotonic() < until:
                yield
            if place == "before_end":
                self.gateway.running.popen.send_signal(signal.SIGTERM)
            else:
                with suppress(FileNotFoundError):
                    self.user.file.unlink()
            return
        while True:
            until = time.monotonic() + self.rng.expovariate(1.5)
            while time.monotonic() < until:
                yield
            self.user.edit()

    def told_by_exchange(self, what: str) -> list[Any]:
        """Lines of the exchange's own file about its orders, or its trades."""
        market = "futures_" if self.gateway.exe == "usdt" else ""
        return lines(self.folder / "sim" / f"{market}{what}.jsonl")

    def trades(self) -> list[Any]:
        """The exchange's trades of the account."""
        return [t for t in self.told_by_exchange("trades") if t["account"] == "main"]

    def finish(self) -> None:
        """A last start without a death; the strategies end, and all is judged."""
        assert self.strategy is not None
        self.launch().await_listening()
        (self.folder / "end").touch()
        strategy = self.strategy

        def ended() -> bool:
            if strategy.popen.poll() not in (None, 0):
                strategy.start()
            return strategy.popen.poll() == 0

        eventually(ended, f"the strategies to end in order; they said: {strategy.words()[-2000:]}")
        trades = self.trades()
        self.check_fills(trades)
        self.check_orders()
        for session in SESSIONS:
            self.check_told(session, trades)
        self.check_positions(trades)
        assert self.gateway.running.end() == 143
        verified = self.gateway.run("verify", f"-c={self.gateway.exe}.json")
        assert verified.returncode == 0, verified.stdout + verified.stderr

    def check_fills(self, trades: list[Any]) -> None:
        """Every fill once, under the session its order's id names."""

        def booked() -> list[tuple[Any, ...]]:
            return self.gateway.sql("SELECT trade_id, venue_id, session FROM fill", "journal.db")

        eventually(lambda: len(booked()) >= len(trades), "all fills to be booked")
        owners = Counter((t["trade_id"], t["order_id"], session_of(t["client_order_id"])) for t in trades)
        assert Counter(booked()) == owners, "each fill once and under its session"

    def check_orders(self) -> None:
        """One order for a command at most; none is open; every command was answered to its end."""
        orders = [o for o in self.told_by_exchange("orders") if o["account"] == "main"]
        placed = Counter(o["client_order_id"] for o in orders if o["event"] == "NEW")
        assert set(placed.values()) == {1}, "one order for a command"
        last = {o["order_id"]: o["status"] for o in orders}
        assert not {"NEW", "PARTIALLY_FILLED"} & set(last.values()), "nothing is open"
        told = [line for session in SESSIONS for line in lines(self.folder / f"s{session}.jsonl")]
        sent = {line[1] for line in told if line[0] == "sent"}
        ends = {line[2] for line in told if line[0] == "event" and line[3] in OVER}
        ends |= {line[1] for line in told if line[0] == "word" and line[2] in OVER}
        assert sent <= ends, f"commands without an answer: {sorted(sent - ends)}"
        assert set(placed) <= sent, f"orders nobody has sent: {sorted(set(placed) - sent)}"

    def check_told(self, session: int, trades: list[Any]) -> None:
        """Every event in order and once, every fill among them once."""
        events = [line for line in lines(self.folder / f"s{session}.jsonl") if line[0] == "event"]
        cursors = [tuple(event[1]) for event in events]
        assert cursors == sorted(set(cursors)), f"session {session}: events in order, each once"
        told = Counter(event[4] for event in events if event[4] is not None)
        mine = (t["trade_id"] for t in trades if session_of(t["client_order_id"]) == session)
        assert told == Counter(mine), f"session {session} was told of each of its fills once"

    def expected(self, trades: list[Any]) -> dict[int, Decimal]:
        """Fills, less fees taken in the asset; at each edit the number typed less the one there."""
        expected = {session: self.user.meant[session] for session in SESSIONS}
        for trade in trades:
            qty = Decimal(trade["qty"]) * (1 if trade["side"] == "BUY" else -1)
            fee = Decimal(trade["commission"]) if trade["commission_asset"] == "DOGE" else Decimal(0)
            expected[session_of(trade["client_order_id"])] += qty - fee
        return expected

    def check_positions(self, trades: list[Any]) -> None:
        """What stands in `pos.db`, and the edits in the journal."""
        expected = self.expected(trades)

        def stand() -> dict[int, Decimal]:
            return {row[0]: Decimal(row[1]) for row in self.user.read("SELECT session_id, qty FROM position")}

        eventually(lambda: stand() == expected, f"pos.db to show {expected}, not {stand()}")
        booked: dict[int, Decimal] = defaultdict(Decimal)
        for session, delta in self.gateway.sql("SELECT session, delta FROM adjustment", "journal.db"):
            booked[session] += Decimal(delta)
        assert dict(booked) == {s: n for s, n in self.user.meant.items() if n or s in booked}, "edits booked"


def session_of(client_order_id: str) -> int:
    """The session in an order's id, read by its place: docs/protocol.md, order ids."""
    return int(client_order_id[12:16])


@contextmanager
def house(folder: Path, seed: int, product: str = "spot") -> Iterator[House]:
    """One of them; no process is left behind."""
    folder.mkdir(exist_ok=True)
    # A gateway makes three connections, and a hundred of its lives may fall into the exchange's five minutes.
    limits = ("--order-limit=100000", "--weight-limit=1000000", "--connection-limit=100000")
    # Counted as ever, and never too often.
    keys = {"recovery_lag_ms": 20, "snapshot_rows": 100, "pause_after_crashes": 1000}
    with trading(folder, "--ticks-per-second=20", *limits, exe=product, **keys) as (exchange, gateway):
        found = House(exchange, gateway, seed)
        try:
            yield found
        finally:
            if found.strategy is not None:
                found.strategy.kill()


def round_of_deaths(
    folder: Path, seed: int, at_each: int, product: str = "spot", most: int | None = None
) -> House:
    """Every place that many times, or so many of them, in an order drawn by the seed; then the judgement."""
    with house(folder, seed, product) as found:
        found.begin()
        deck = [place for place in found.places if place != ONLY_FIRST] * at_each
        found.rng.shuffle(deck)
        for place in deck[:most]:
            found.die(place)
        found.finish()
        return found
