"""Instructions of gateway and strategy for a tick that causes no order, counted by callgrind.

Unlike times they are the same on every machine, however busy: what guards against slow code by and by.
Only the processes' own code is counted, not the kernel's. Each figure is what a run with more ticks took
beyond one with fewer.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from pathlib import Path

from benchlib.figures import Row, program
from benchlib.system import Command, Process, system

# What callgrind slows down fiftyfold keeps up with that.
RATE = 50
# Seconds after which a strategy wakes with nothing to do: that is not to be counted.
AWAKE_EVERY = 10
# Of the first tick that an exchange sends.
FIRST = 1_000
TOTAL = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


class Counter:
    """Callgrind around one process."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "callgrind.out"
        self.under: Command = [
            "valgrind", "--tool=callgrind", "--quiet", f"--callgrind-out-file={self.file}",
        ]  # fmt: skip

    def total(self, process: Process) -> int:
        """What the process took from its start to its end."""
        process.end()
        found = TOTAL.search(self.file.read_text(encoding="utf-8"))
        if found is None:
            said = process.errors.read_text(encoding="utf-8")[-2000:]
            raise SystemExit(f"callgrind counted nothing: {said}")
        return int(found[1])


def counted(whom: str, view: str, count: int) -> int:
    """Instructions of gateway or strategy in a life with so many ticks, of which the last is answered."""
    last = FIRST + count - 1
    with tempfile.TemporaryDirectory() as folder:
        counter = Counter(Path(folder))
        ours: Command = counter.under if whom == "gateway" else ()
        theirs: Command = counter.under if whom == "strategy" else ()
        with system(under=ours) as bench:
            wish = ("ticks", bench.address("tcp"), view, last, AWAKE_EVERY)
            strategy = bench.strategy(*wish, under=theirs)
            found = bench.exchange.ask(do="ticks", view=view, rate=RATE, count=count, every=last)
            if not found["orders"]:
                raise SystemExit(
                    "the last tick was not answered: the processes under callgrind did not keep up"
                )
            return counter.total(bench.gateway if whom == "gateway" else strategy)


def slope(whom: str, view: str, options: argparse.Namespace) -> float:
    """Instructions for one tick more."""
    few, many = (10, 30) if options.quick else (100, 600)
    return (counted(whom, view, many) - counted(whom, view, few)) / (many - few)


def measure(options: argparse.Namespace) -> list[Row]:
    """A row for each view."""
    if shutil.which("valgrind") is None:
        raise SystemExit("there is no valgrind (Debian, Ubuntu: apt install valgrind)")
    views = ("bbo",) if options.quick else ("bbo", "depth")
    whose = ("gateway", "strategy")
    return [
        {"instructions for": f"a tick, {view}", **{whom: slope(whom, view, options) for whom in whose}}
        for view in views
    ]


if __name__ == "__main__":
    sys.exit(program("instructions", __doc__, measure))
