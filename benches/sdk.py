"""The SDK by itself: callbacks a second, time of its import, memory of a strategy."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchlib.figures import Row, program
from benchlib.system import STRATEGIES, Process, binary, system

TOKEN = "0123456789abcdef" * 4
IMPORT = "import time; began = time.perf_counter(); import pyalgo; print(time.perf_counter() - began)"
RESIDENT = "print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmRSS')))"


def said(code: str) -> float:
    """The number that a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def trades(folder: Path, count: int) -> Row:
    """One run of trades from a gateway that does nothing else."""
    with ExitStack() as stack:
        gateway = Process([binary("bench-wire"), "gateway", TOKEN], folder, "stub")
        stack.callback(gateway.close)
        address = gateway.line()["listening"]
        command: list[str | Path] = [sys.executable, STRATEGIES / "trades.py", address, TOKEN, str(count)]
        strategy = Process(command, folder, "trades")
        stack.callback(strategy.close)
        gateway.line()
        strategy.line()
        gateway.ask(count=count)
        return strategy.line()


def resident(options: argparse.Namespace) -> float:
    """Megabytes of a strategy that is connected, subscribed and trading."""
    with system() as bench:
        strategy = bench.strategy("ticks", bench.address("tcp"), "bbo", 10, 0.001)
        bench.exchange.ask(do="ticks", view="bbo", rate=500, count=int(500 * options.seconds), every=10)
        return strategy.resident_mb()


def measure(options: argparse.Namespace) -> list[Row]:
    """All rows."""
    times = 3 if options.quick else 21
    count = 5_000 if options.quick else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        runs = [trades(Path(folder), count) for _ in range(options.rounds)]
    rates = [run["calls"] / run["seconds"] for run in runs]
    busy = [run["calls"] / run["busy"] for run in runs]
    plain, ours = said(RESIDENT) / 1024, said(f"import pyalgo; {RESIDENT}") / 1024
    return [
        {"SDK": "trade callbacks a second, by the clock", "value": statistics.median(rates)},
        {"SDK": "trade callbacks a second of CPU", "value": statistics.median(busy)},
        {"SDK": "trades left out, per callback", "value": runs[-1]["gaps"] / runs[-1]["calls"]},
        {"SDK": "import pyalgo, ms", "value": 1000 * statistics.median(said(IMPORT) for _ in range(times))},
        {"SDK": "interpreter alone, MB", "value": plain},
        {"SDK": "with pyalgo imported, MB", "value": ours},
        {"SDK": "strategy that trades, MB", "value": resident(options)},
    ]


if __name__ == "__main__":
    sys.exit(program("sdk", __doc__, measure))
