"""Do strategies that misbehave slow down the others? `./dev bench contain`.

A sound strategy is timed through the simulated exchange and a real gateway: how late a tick is in its
callback, counted from the gateway's receipt, and how long an order takes from `send` to the exchange's word.
Phases in which another strategy misbehaves alternate with phases in which none does, in one run of the same
processes. Printed is the 99th percentile of each phase; a kind is contained if the median of its phases is
not above the worst of the control's. A phase lasts until it has as many orders as such a figure needs.

`flood`: 10,000 orders in a loop by the SDK, again and again; a phase beside it ends only once it got to all
of them, and how many they were in all its phases is told. `pour`: order frames as fast as a socket takes
them, without the SDK. `nonsense`: no numbers, and far too much. `hang`: a callback that never returns.
`crash`: a process that dies in a callback with an order open, again and again.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from benchlib.figures import Row, program, quantile  # noqa: E402
from support.processes import Client, Gateway, Refused, trading  # noqa: E402
from websockets.exceptions import ConnectionClosed  # noqa: E402

from pyalgo import Depth, Engine, Order, OrderType, Side, SmartOrder, Tif  # noqa: E402

KINDS = ("flood", "pour", "nonsense", "hang", "crash")
RECKLESS = ROOT / "tests" / "e2e" / "strategies" / "reckless.py"
# Each session's share of the exchange's budget lets the sound one send as often as it does.
OPTIONS = ("--ticks-per-second=50", "--order-limit=2000", "--weight-limit=100000")
# The exchange lets 200 orders of an account rest in a symbol, whosever they are.
LIMITS = {"session": {"order_notional": {"USDT": "200"}, "price_band": "20", "open_orders": 30}}
SETTLES_S = 1.0
ORDERS_EVERY_S = 0.025
# The 99th percentile of fewer is the worst of them; `--quick` only shows that it runs.
LEAST_ORDERS, LEAST_ORDERS_QUICK = 200, 5
# A phase that gets to no such number all the same ends, and has too few orders in its row.
PATIENCE_S = 60.0
LEAST_S = 1.5
FLOOD_LOOKED_AT_S = 0.1
# Milliseconds of each tick, and of each order.
Phase = tuple[list[float], list[float]]


@contextmanager
def misbehaving(gateway: Gateway, kind: str, session: int) -> Iterator[None]:
    """A process that does that for as long as the phase lasts."""
    environment = os.environ | {"TRADINGSYS_TOKEN_FILE": str(gateway.folder / "token")}
    own = [sys.executable, __file__, "--misbehave", kind, str(gateway.folder), gateway.url, str(session)]
    with (gateway.folder / f"{kind}.log").open("ab") as log:
        process = subprocess.Popen(own, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def misbehave(kind: str, folder: str, url: str, session: str) -> None:
    """What such a process does until it is killed."""
    while True:
        if kind == "pour":
            pour(Path(folder), url, int(session))
            continue
        file = Path(folder) / f"{kind}.jsonl"
        command = [sys.executable, str(RECKLESS), url, session, kind, str(file)]
        before = len(floods(file))
        started = subprocess.Popen(command, cwd=folder)
        if kind == "flood":
            # It is done after ten thousand orders, and begins again.
            while started.poll() is None and len(floods(file)) == before:
                time.sleep(FLOOD_LOOKED_AT_S)
            started.kill()
        started.wait()


def floods(file: Path) -> list[int]:
    """How many orders each flood that is over has asked for, whatever they were answered."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    said = [json.loads(line) for line in lines if line.endswith("\n")]
    return [sum(words[1].values()) for words in said if words[0] == "flooded"]


class Door(Gateway):
    """A gateway that somebody else runs."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.address = folder, url
        self.config = json.loads((folder / "spot.json").read_text())

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.address


def pour(folder: Path, url: str, session: int) -> None:
    """Order frames without end, and what is answered thrown away; begins anew when it is closed."""
    client = Client(Door(folder, url), session, take_over=True)
    order = {"symbol": "dogeusdt", "side": "BUY", "type": "LIMIT", "price": "0.15", "qty": "100"}
    number = client.number
    try:
        while True:
            for _ in range(50):
                frame = {"id": number, "method": "order", "params": {"n": number} | order}
                client.socket.send(json.dumps(frame))
                number += 1
            while True:
                client.socket.recv(0)
    except TimeoutError:
        pass
    except (ConnectionError, ConnectionClosed, Refused):
        return
    finally:
        client.close()


class Probe:
    """The sound strategy, and the phases it is timed in."""

    def __init__(self, gateway: Gateway, options: argparse.Namespace) -> None:
        self.gateway = gateway
        self.phases = [kind for _ in range(options.rounds) for bad in KINDS for kind in ("control", bad)]
        self.seconds = max(options.seconds, LEAST_S)
        self.least = LEAST_ORDERS_QUICK if options.quick else LEAST_ORDERS
        self.floods_whole = not options.quick
        self.flooded = gateway.folder / "flood.jsonl"
        self.ticks: list[float] = []
        self.accepts: list[float] = []
        self.found: dict[str, list[Phase]] = defaultdict(list)
        self.eng = Engine(0.001)
        self.session = self.eng.make_session(addr=gateway.url, session_id=1, name="probe", trading=True)
        self.sub = self.session.subscribe("dogeusdt", "bbo")
        self.sub.on_data = self.on_data
        self.session.on_order = self.on_order
        self.order = SmartOrder(self.sub)
        self.sent_at = 0

    def on_data(self, depth: Depth) -> None:
        """A tick is here."""
        self.ticks.append((time.time_ns() - depth.time) / 1e6)

    def on_order(self, order: Order) -> None:
        """An order has been taken, or has ended."""
        if str(order.state) == "NEW" and self.sent_at:
            self.accepts.append((time.perf_counter_ns() - self.sent_at) / 1e6)
            self.sent_at = 0
            self.order.kill()

    def send(self) -> None:
        """The next order, far below the market."""
        if not self.order.is_active and self.sub.bid_level:
            self.sent_at = time.perf_counter_ns()
            if not self.order.send(self.sub.bid_prc(0) * 0.9, 100, Side.BUY, OrderType.LIMIT, Tif.GTC):
                self.sent_at = 0

    def run(self) -> None:
        """All phases."""
        self.eng.every(ORDERS_EVERY_S, self.send)
        for number, kind in enumerate(self.phases):
            if kind == "control":
                self.phase(kind)
                continue
            with misbehaving(self.gateway, kind, 10 + number % 3):
                self.phase(kind)

    def phase(self, kind: str) -> None:
        """One phase; its first second, in which processes start, is not counted."""
        began, before = time.monotonic(), len(floods(self.flooded))

        def is_whole() -> bool:
            """Is there enough to say something of it?"""
            if time.monotonic() > began + PATIENCE_S and self.ticks and self.accepts:
                return True
            due = kind == "flood" and self.floods_whole
            enough = bool(self.ticks) and len(self.accepts) >= self.least
            return enough and (not due or len(floods(self.flooded)) > before)

        self.eng.after(SETTLES_S, self.forget)
        self.eng.after(SETTLES_S + self.seconds, lambda: self.end(is_whole))
        self.eng.run()
        self.found[kind].append((list(self.ticks), list(self.accepts)))

    def end(self, is_whole: Callable[[], bool]) -> None:
        """Ends the phase, once it is."""
        if is_whole():
            self.eng.stop()
        else:
            self.eng.after(FLOOD_LOOKED_AT_S, lambda: self.end(is_whole))

    def forget(self) -> None:
        """What came before does not count."""
        self.ticks.clear()
        self.accepts.clear()


def row(kind: str, phases: list[Phase], worst: tuple[float, float]) -> Row:
    """A row of the table."""
    made: Row = {"beside": kind}
    within = []
    for at, name in enumerate(("tick", "accept")):
        values = [quantile(phase[at], 990) for phase in phases if phase[at]]
        middle = statistics.median(values) if values else float("nan")
        made |= {f"{name} p99 ms": middle}
        made |= {
            f"{name} p99 least": min(values, default=middle),
            f"{name} p99 most": max(values, default=middle),
        }
        within.append(middle <= worst[at])
    counts = {
        "ticks": sum(len(phase[0]) for phase in phases),
        "orders": sum(len(phase[1]) for phase in phases),
    }
    return made | counts | {"contained": int(all(within))}


def measure(options: argparse.Namespace) -> list[Row]:
    """All rows."""
    if wanted := getattr(options, "misbehave", None):
        misbehave(*wanted)
    with tempfile.TemporaryDirectory() as folder, trading(Path(folder), *OPTIONS, limits=LIMITS) as both:
        gateway = both[1].start()
        os.environ["TRADINGSYS_TOKEN_FILE"] = str(gateway.folder / "token")
        probe = Probe(gateway, options)
        probe.run()
        flooded = sum(floods(probe.flooded))
    control = probe.found["control"]
    most = [max((quantile(phase[at], 990) for phase in control if phase[at]), default=0.0) for at in (0, 1)]
    rows = [row(kind, probe.found[kind], (most[0], most[1])) for kind in ("control", *KINDS)]
    return [told | ({"flooded": flooded} if told["beside"] == "flood" else {}) for told in rows]


def option_of_ours(parser: argparse.ArgumentParser) -> None:
    """What its own processes are started with."""
    parser.add_argument("--misbehave", nargs=4, help=argparse.SUPPRESS)


if __name__ == "__main__":
    sys.exit(program("contain", __doc__, measure, option_of_ours))
