"""The private way: a fill in → `on_order`, an order in → on the wire, a cancel in → on the wire.

Beside it what one way through the bare relay takes. A fill is told after it is on the disk, so its commit is
in the figure. Times of the strategy and of the exchange come from two processes and one clock.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchlib.figures import Row, program, spread
from benchlib.system import System, system

RATE = 250
Runs = list[list[float]]


def fills(bench: System, transport: str, count: int) -> list[float]:
    """Nanoseconds from before the write of a fill's report to the begin of its callback."""
    strategy = bench.strategy("private", bench.address(transport), "events")
    # Its order must rest first.
    while not bench.exchange.ask(do="arrivals")["orders"]:
        time.sleep(0.05)
    time.sleep(0.3)
    sent = dict(bench.exchange.ask(do="fills", count=count, rate=RATE)["sent"])
    noted = strategy.report()["noted"]
    if not noted:
        raise SystemExit(f"none of {count} fills was told of in time")
    return [at - sent[trade] for trade, at in noted if trade in sent]


def commands(bench: System, transport: str, kind: str, seconds: float) -> list[float]:
    """Nanoseconds from before `send` or `kill` to after the exchange's read."""
    bench.exchange.ask(do="arrivals")
    strategy = bench.strategy("private", bench.address(transport), kind)
    time.sleep(seconds)
    noted = strategy.report()["noted"]
    time.sleep(0.3)
    came = bench.exchange.ask(do="arrivals")
    if kind == "orders":
        arrived = dict(came["orders"])
        return [arrived[number] - at for number, at in noted if number in arrived]
    return [arrived - at for (_, at), arrived in zip(noted, came["cancels"], strict=False)]


def relay(bench: System, transport: str, count: int) -> tuple[list[float], list[float]]:
    """Nanoseconds one way through the relay: to the client, and from it."""
    process, address = bench.relay(transport)
    client = bench.relay_client(address, 1)
    found = bench.exchange.ask(do="ticks", view="depth", rate=RATE, count=count, every=1, bare=True)
    process.close()
    came = client.line()["came"]
    client.close()
    sent, arrived = dict(found["sent"]), dict(found["orders"])
    down = [at - sent[number] for number, at in came if number in sent]
    return down, [arrived[number] - at for number, at in came if number in arrived]


def row(name: str, ours: Runs, theirs: Runs) -> Row:
    """A row of the table."""
    here, there = spread(ours), spread(theirs)
    more = {f"+ {name}": here[name] - there[name] for name in ("p50", "p99.9")}
    return {
        "private way": name,
        **{f"{name} µs": value for name, value in here.items()},
        **{f"relay {name}": value for name, value in there.items()},
        **more,
    }


def measure(options: argparse.Namespace) -> list[Row]:
    """All rows."""
    count = max(int(options.seconds * RATE), 20)
    rows = []
    for transport in ("tcp", "unix"):
        found: dict[str, Runs] = {"event → on_order": [], "order → wire": [], "cancel → wire": []}
        down: Runs = []
        up: Runs = []
        for _ in range(options.rounds):
            # A system of its own each time: at the next comparison its gateway would learn that the simulator
            # behind knows nothing of these fills.
            with system() as bench:
                one_way = relay(bench, transport, count)
                down.append(one_way[0])
                up.append(one_way[1])
                found["order → wire"].append(commands(bench, transport, "orders", options.seconds))
                found["cancel → wire"].append(commands(bench, transport, "cancels", options.seconds))
                found["event → on_order"].append(fills(bench, transport, count))
        for name, runs in found.items():
            rows.append(row(f"{name} {transport}", runs, down if "event" in name else up))
    return rows


if __name__ == "__main__":
    sys.exit(program("private-events", __doc__, measure))
