"""Edits of `pos.db` by SQL, orders, and deaths of a real gateway in any order, each judged before the next.

One interleaving is an edit while the gateway is down or up, a death at a moment drawn by the seed, most of
them around the acceptance of the edit and the showing of rows, a restart, and the judgement of rows and
books. The oracles are the exchange's own trade file and the user's own sums.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter, defaultdict
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake, WebSocketException

from support.deaths import SESSIONS, SYMBOL, House, house
from support.processes import PATIENCE, Client, Gateway, Process, Refused, eventually, is_for_now

# Where an edit is taken in and rows are shown; and where what they are made of is written down.
AT_START = ("mid_edit", "after_edit", "after_epoch")
WHILE_UP = (
    "before_projection",
    "mid_projection",
    "after_projection",
    "before_append",
    "mid_append",
    "after_append",
    "after_fill_received",
    "before_publish",
)
# A place that nobody comes by in time is left for a plain death.
WAIT = 1.0


class Interleaver:
    """A house whose gateway dies once for each interleaving."""

    def __init__(self, found: House) -> None:
        self.house = found
        self.gateway: Gateway = found.gateway
        self.user = found.user
        self.rng = found.rng
        self.clients: dict[int, Client] = {}
        self.judged = 0
        self.kinds: Counter[str] = Counter()

    def begin(self) -> None:
        """The first life: each session buys, so that each has a row."""
        self.house.launch().await_listening()
        for session in SESSIONS:
            self.clients[session] = self.gateway.client(session)
            self.clients[session].buy("100")
        eventually(self.user.sees_rows, "both rows in pos.db")

    def interleave(self) -> None:
        """One of them."""
        before = self.user.edits
        down = self.rng.random() < 0.5
        place = self.place(down)
        if down or place:
            self.die()
        if down:
            eventually(self.edits_while_down, "the file to edit")
        process = self.house.launch(place) if down or place else self.gateway.running
        reached = self.live(process, quietly=down)
        self.die()
        if self.user.edits == before:
            # The gateway was at the file whenever it was tried.
            eventually(self.edits_while_down, "the file to edit")
        self.house.launch().await_listening()
        self.judge()
        how = place.split(":")[0] if place and reached else "at a moment by the clock"
        self.kinds[f"edited while {'down' if down else 'up'}, killed {how}"] += 1

    def place(self, down: bool) -> str | None:
        """A named place and which passing of it; `None`: a moment by the clock."""
        if self.rng.random() < 0.5:
            return None
        name = self.rng.choice((*AT_START, *WHILE_UP) if down else WHILE_UP)
        most = {"projection": 2, "append": 6, "publish": 6}.get(name.rsplit("_")[-1], 1)
        return f"{name}:{self.rng.randint(1, most)}"

    def live(self, process: Process, quietly: bool) -> bool:
        """Orders and edits until its place is reached, or its moment has come; was it reached?"""
        until = time.monotonic() + (WAIT if process.armed else self.rng.uniform(0.0, 0.35))
        while process.popen.poll() is None and time.monotonic() < until:
            if self.rng.random() < (0.2 if quietly else 0.5):
                self.edit()
            elif b"\n" in process.out.read_bytes():
                self.trade()
            time.sleep(self.rng.uniform(0.0, 0.03))
        return process.popen.poll() is not None

    def die(self) -> None:
        """`kill -9`, unless it has done so itself."""
        self.gateway.running.kill()
        for client in self.clients.values():
            with suppress(WebSocketException, OSError):
                client.close()
        self.clients.clear()

    def trade(self) -> None:
        """An order at the market of some session. It may die meanwhile, or not take orders yet."""
        session = self.rng.choice(SESSIONS)
        try:
            if session not in self.clients:
                self.gateway.running.await_listening()
                self.clients[session] = self.gateway.client(session)
            side = self.rng.choice(["BUY", "SELL"])
            self.clients[session].place(SYMBOL, side, type="MARKET", qty=str(self.rng.randint(40, 80)))
        except Refused as refused:
            assert is_for_now(refused) or refused.error["name"] in ("not_ready", "disconnected"), refused
        except (AssertionError, WebSocketException, OSError) as broken:
            self.clients.pop(session, None)
            # The door closes on who is too slow; else it breaks a moment before its process is gone.
            if not was_too_slow(broken):
                self.gateway.running.popen.wait(PATIENCE)

    def edit(self) -> bool:
        """A number typed over a row, or a row deleted; `False`: it is locked, or not there."""
        return self.user.delete() if self.rng.random() < 0.2 else self.user.edit()

    def edits_while_down(self) -> bool:
        """The same, while nobody else is at the file; where no row is left there is nothing to edit."""
        return self.edit() or not self.user.read("SELECT 1 FROM position")

    def judge(self) -> None:
        """Rows, edits, fills and books, once all that the user wrote is taken and shown."""
        trades = self.house.trades()

        def rest() -> bool:
            nonlocal trades
            trades = self.house.trades()
            with suppress(sqlite3.OperationalError):
                return self.user.is_done() and self.wrong(trades) == []
            return False

        try:
            eventually(rest, "rows and books to come to one sum")
        except AssertionError as late:
            found = self.wrong(self.house.trades()) or "an edit that is not taken"
            raise AssertionError(f"interleaving {self.judged + 1}: {found}") from late
        self.house.check_fills(trades)
        assert self.wrong(trades) == [], "it stays so"
        self.judged += 1

    def wrong(self, trades: list[Any]) -> list[str]:
        """What differs: rows by fills and edits, and the books' rows by what they are made of."""
        expected = self.house.expected(trades)
        shown = {session: Decimal(qty) for session, qty in self.user.rows("position")}
        found = [
            f"session {session}: {shown.get(session, Decimal(0))} shown, {expected[session]} meant"
            for session in SESSIONS
            if shown.get(session, Decimal(0)) != expected[session]
        ]
        booked: defaultdict[int, Decimal] = defaultdict(Decimal)
        for session, delta in self.gateway.sql("SELECT session, delta FROM adjustment", "journal.db"):
            booked[session] += Decimal(delta)
        found += [
            f"session {session}: edits of {booked[session]} booked, {self.user.meant[session]} meant"
            for session in SESSIONS
            if booked[session] != self.user.meant[session]
        ]
        # What users give to sessions, nobody loses but this row.
        held = "DOGEUSDT" if self.gateway.exe == "usdt" else "DOGE"
        rows = dict(self.gateway.sql(f"SELECT owner, amount FROM _asset WHERE asset = '{held}'"))
        sums = {str(session): expected[session] for session in SESSIONS}
        sums["unattributed"] = -sum(self.user.meant.values(), Decimal(0))
        found += [
            f"{owner}: {rows.get(owner, '0')} in the books, {amount} meant"
            for owner, amount in sums.items()
            if Decimal(rows.get(owner, "0")) != amount
        ]
        return found

    def finish(self) -> None:
        """The whole of it by the gateway's own check."""
        assert self.gateway.running.end() == 143
        verified = self.gateway.run("verify", f"-c={self.gateway.exe}.json")
        assert verified.returncode == 0, verified.stdout + verified.stderr


def was_too_slow(broken: Exception) -> bool:
    """Did the door close because the machine stood still amid a handshake or a login?"""
    closed = broken.rcvd if isinstance(broken, ConnectionClosed) else None
    return isinstance(broken, InvalidHandshake) or (closed is not None and closed.code == 1008)


def interleave(folder: Path, seed: int, count: int, product: str = "spot") -> Interleaver:
    """So many of them at one gateway, one after another."""
    with house(folder, seed, product) as found:
        work = Interleaver(found)
        work.begin()
        for _ in range(count):
            work.interleave()
        work.finish()
        return work
