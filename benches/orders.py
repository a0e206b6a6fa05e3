"""Orders as fast as the gateway takes them, journal on: four sessions that each keep 32 commands under way.

Each order is admitted, sent, answered, told of by two events (`NEW`, `EXPIRED`) that are on the disk before,
and acknowledged. Counted is what came to the exchange.
"""

from __future__ import annotations

import argparse
import sys

from benchlib.figures import Row, program
from benchlib.system import system


def options_of_ours(parser: argparse.ArgumentParser) -> None:
    """How long it lasts."""
    parser.add_argument("--flood-seconds", type=int, default=60, help="length of the flood (60)")


def measure(options: argparse.Namespace) -> list[Row]:
    """One row."""
    seconds = 1 if options.quick else options.flood_seconds
    with system() as bench:
        wish = {"address": bench.raw_address("tcp"), "token": bench.token}
        before, memory = bench.gateway.cpu_ns(), bench.gateway.resident_mb()
        found = bench.exchange.ask(do="flood", sessions=4, window=32, seconds=seconds, **wish)
        cpu = bench.gateway.cpu_ns() - before
        grown = bench.gateway.resident_mb() - memory
        journal = sum(file.stat().st_size for file in (bench.folder / "db").glob("journal.db*"))
    if found["refused"]:
        print(f"{found['refused']} orders were refused, the last by {found['refusal']}", file=sys.stderr)
    count = max(found["arrived"], 1)
    return [{
        "sustained": f"orders for {seconds} s", "orders/s": count * 1e9 / found["nanos"], "orders": count,
        "refused": found["refused"], "events": found["events"],
        "CPU µs per order": cpu / count / 1000,
        "memory B per order": grown * 1024 * 1024 / count, "journal B per order": journal / count,
    }]  # fmt: skip


if __name__ == "__main__":
    sys.exit(program("orders", __doc__, measure, options_of_ours))
