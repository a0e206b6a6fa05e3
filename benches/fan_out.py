"""One stream to many sessions: how late they get it, and what each of them costs.

Beside it the bare relay that writes the same bytes to as many clients. Late is from before the write of a
tick to after its read by a session, both in one process.
"""

from __future__ import annotations

import argparse
import sys

from benchlib.figures import Row, program
from benchlib.system import System, system

SESSIONS = (1, 10, 50, 250)
RATE = 100
SATURATED = {"rate": 10_000, "sessions": 50}
CONNECTED, ACTIVE = 1_000, 250


def listened(bench: System, sessions: int, rate: int, seconds: float, bare: bool) -> Row:
    """One run: quantiles of lateness, CPU of the process in the middle."""
    if bare:
        middle, address = bench.relay("tcp")
    else:
        middle, address = bench.gateway, bench.raw_address("tcp")
    wish = {"address": address, "token": bench.token, "sessions": sessions, "active": sessions, "view": "bbo"}
    bench.exchange.ask(do="swarm", bare=bare, **wish)
    tell = {"do": "ticks", "view": "bbo", "rate": rate, "every": 1_000_000_000, "bare": bare}
    bench.exchange.ask(count=max(rate // 5, 1), **tell)
    bench.exchange.ask(do="heard")
    before = middle.cpu_ns()
    count = max(int(rate * seconds), 10)
    bench.exchange.ask(count=count, **tell)
    cpu = (middle.cpu_ns() - before) / count
    heard = bench.exchange.ask(do="heard")
    bench.exchange.ask(do="disperse")
    if bare:
        middle.close()
    late = heard["late"]
    return {
        "late p50 µs": late[0] / 1000, "late p99 µs": late[1] / 1000, "CPU µs per tick": cpu / 1000,
        "told": heard["count"] / (count * sessions), "behind p99": heard["behind"][1],
    }  # fmt: skip


def row(name: str, sessions: int, ours: Row, theirs: Row, alone: Row | None) -> Row:
    """A row of the table; `alone` is that of one session."""
    told = {"fan-out": name, **ours}
    told |= {f"relay {name}": theirs[name] for name in ("late p50 µs", "late p99 µs", "CPU µs per tick")}
    if alone is not None:
        each = ours["CPU µs per tick"] - alone["CPU µs per tick"]
        bare = theirs["CPU µs per tick"] - alone["relay CPU µs per tick"]
        told |= {"each further µs": each / (sessions - 1), "bare send µs": bare / (sessions - 1)}
        told["times send"] = told["each further µs"] / told["bare send µs"]
    return told


def measure(options: argparse.Namespace) -> list[Row]:
    """All rows."""
    rows: list[Row] = []
    with system() as bench:
        for sessions in (1, 3) if options.quick else SESSIONS:
            theirs = listened(bench, sessions, RATE, options.seconds, True)
            ours = listened(bench, sessions, RATE, options.seconds, False)
            rows.append(row(f"{RATE}/s to {sessions}", sessions, ours, theirs, rows[0] if rows else None))
        rate, sessions = SATURATED["rate"], SATURATED["sessions"]
        theirs = listened(bench, sessions, rate, options.seconds, True)
        ours = listened(bench, sessions, rate, options.seconds, False)
        rows.append(row(f"{rate}/s to {sessions}, saturated", sessions, ours, theirs, None))
    return rows


if __name__ == "__main__":
    sys.exit(program("fan-out", __doc__, measure))
