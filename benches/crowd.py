"""A strategy's tick-to-order while 1,000 sessions are connected, 250 of them subscribed, and while none is.

Both in turn. The crowd listens to `depth`, which comes ten times a second, the strategy to `bbo` at 1,000/s.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from benchlib.figures import Row, program, quantile, spread
from benchlib.system import System, system
from tick_to_order import Case, Runs, round_of_gateway

CASE = Case("bbo", 1000, "tcp")


def measure(options: argparse.Namespace) -> list[Row]:
    """A row with the crowd and one without."""
    connected, active = (20, 5) if options.quick else (1000, 250)
    case = replace(CASE, rate=100) if options.quick else CASE
    alone, among = Runs(), Runs()
    memory = []
    with system() as bench:
        at_first = bench.gateway.resident_mb()
        for _ in range(options.rounds):
            round_of_gateway(bench, case, options.seconds, alone)
            gather(bench, connected, active)
            memory.append(bench.gateway.resident_mb())
            round_of_gateway(bench, case, options.seconds, among)
            bench.exchange.ask(do="disperse")
    return [
        row("one session, nobody else", alone, at_first),
        row(f"{connected} sessions connected, {active} subscribed", among, max(memory)),
    ]


def gather(bench: System, connected: int, active: int) -> None:
    """The crowd comes."""
    wish = {"address": bench.raw_address("tcp"), "token": bench.token, "view": "depth"}
    bench.exchange.ask(do="swarm", sessions=connected, active=active, bare=False, **wish)
    bench.exchange.ask(do="hum", view="depth")


def row(name: str, runs: Runs, memory: float) -> Row:
    """A row of the table. The spread of p99 is that of the runs."""
    p99 = [quantile(run, 990) / 1000 for run in runs.latencies]
    found = {f"{name} µs": value for name, value in spread(runs.latencies).items()}
    return {
        "crowd": name, **found, "p99 least": min(p99), "p99 most": max(p99),
        "gateway CPU µs": runs.cpu_us("gateway"), "gateway MB": memory,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(program("crowd", __doc__, measure))
