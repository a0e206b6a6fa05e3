"""Tick to order of a strategy with a heap, by who collects its garbage: Python, in the middle of what
allocates, or the engine, between callbacks.

Each tick makes some objects and keeps them for a while, as a strategy does that computes on a window.
Rounds of both kinds take turns; Python's is the baseline of the other.
"""

from __future__ import annotations

import argparse
import sys

from benchlib.figures import Row, program, ratios, spread
from benchlib.system import System, system

RATE = 1000
EVERY = 4
# Containers that are there before the first tick.
HEAPS = (0, 500_000)
COLLECTORS = ("python", "idle")
Runs = list[list[float]]


def run(bench: System, heap: int, collect: str, seconds: float) -> list[float]:
    """Nanoseconds from a tick's write to the read of its order."""
    strategy = bench.strategy("heap", bench.address("tcp"), EVERY, heap, collect)
    wish = {"view": "bbo", "rate": RATE, "every": EVERY, "bare": False}
    bench.exchange.ask(do="ticks", count=RATE // 3, **wish)
    found = bench.exchange.ask(do="ticks", count=int(RATE * seconds), **wish)
    strategy.close()
    sent = dict(found["sent"])
    return [at - sent[number] for number, at in found["orders"] if number in sent]


def row(name: str, ours: Runs, theirs: Runs | None) -> Row:
    """A row of the table."""
    here = spread(ours)
    longest = max(value for latencies in ours for value in latencies) / 1000
    against = ratios(ours, theirs) if theirs is not None else dict.fromkeys(here, 1.0)
    return {
        "heap": name,
        **{f"{name} µs": value for name, value in here.items()},
        "longest µs": longest,
        **{f"times {name}": value for name, value in against.items()},
    }


def measure(options: argparse.Namespace) -> list[Row]:
    """All rows."""
    rows = []
    # Full collections are far between.
    seconds = options.seconds if options.quick else max(options.seconds, 12.0)
    with system() as bench:
        for heap in (HEAPS[0],) if options.quick else HEAPS:
            found: dict[str, Runs] = {collect: [] for collect in COLLECTORS}
            for _ in range(options.rounds):
                for collect in COLLECTORS:
                    found[collect].append(run(bench, heap, collect, seconds))
            python = found["python"]
            rows.append(row(f"{heap} containers, python", python, None))
            rows.append(row(f"{heap} containers, idle", found["idle"], python))
    return rows


if __name__ == "__main__":
    sys.exit(program("pauses", __doc__, measure))
