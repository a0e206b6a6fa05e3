"""Quantiles, tables, and the options every benchmark has."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
# Quantiles that are told, in parts of 1000.
TOLD = {"p50": 500, "p99": 990, "p99.9": 999}


def quantile(values: Sequence[float], per_mille: int) -> float:
    """The value that so many in a thousand do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) * per_mille // 1000, len(ordered) - 1)] if ordered else float("nan")


def spread(runs: Sequence[Sequence[float]]) -> dict[str, float]:
    """Microseconds from runs of nanoseconds: median of the runs' p50 and p99; p99.9 of all runs together,
    because one run has too few values for it."""
    found = {
        name: statistics.median(quantile(run, part) for run in runs) / 1000
        for name, part in TOLD.items()
        if name != "p99.9"
    }
    together = [value for run in runs for value in run]
    return found | {"p99.9": quantile(together, TOLD["p99.9"]) / 1000}


def ratios(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> dict[str, float]:
    """Ours to theirs: p50 and p99 as the median of the ratios of neighbouring runs, p99.9 of all together."""
    found = {}
    for name in ("p50", "p99"):
        part = TOLD[name]
        pairs = zip(ours, theirs, strict=True)
        found[name] = statistics.median(quantile(one, part) / quantile(other, part) for one, other in pairs)
    return found | {"p99.9": spread(ours)["p99.9"] / spread(theirs)["p99.9"]}


def parser(name: str, about: str | None) -> argparse.ArgumentParser:
    """The options every benchmark has."""
    made = argparse.ArgumentParser(prog=f"./dev bench {name}", description=about)
    made.add_argument("--rounds", type=int, default=3, help="runs of each kind, interleaved (3)")
    made.add_argument("--seconds", type=float, default=3.0, help="length of a run (3)")
    made.add_argument("--quick", action="store_true", help="tiny counts: does it run at all?")
    made.add_argument("--json", type=Path, help="write what was found there")
    return made


def settled(options: argparse.Namespace) -> argparse.Namespace:
    """The options, tiny if so wanted."""
    if options.quick:
        options.rounds, options.seconds = 1, min(options.seconds, 0.3)
    return options


def shown(value: object) -> str:
    """A cell of a table."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return str(value)


def table(rows: Sequence[Row]) -> str:
    """Rows as a table of Markdown; a column that a row lacks stays empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[shown(row.get(name, "")) for name in names] for row in rows]
    widths = [max(len(line[at]) for line in [names, *cells]) for at in range(len(names))]

    def line(words: Sequence[str]) -> str:
        first, *rest = (word.ljust(width) for word, width in zip(words, widths, strict=True))
        numbers = [word.strip().rjust(len(word)) for word in rest]
        return f"| {' | '.join([first, *numbers])} |"

    rule = [
        ("-" if at == 0 else "") + "-" * (width - 1) + (":" if at else "") for at, width in enumerate(widths)
    ]
    return "\n".join([line(names), f"|{'|'.join(f' {mark} ' for mark in rule)}|", *map(line, cells)])


def surroundings() -> Row:
    """Where and with what the figures were taken."""
    folder = Path(os.environ.get("TRADINGSYS_BIN_DIR", "target/debug"))
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "build": folder.name,
        "cores": os.cpu_count(),
        "processor": processor,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def program(
    name: str,
    about: str | None,
    measure: Callable[[argparse.Namespace], list[Row]],
    more: Callable[[argparse.ArgumentParser], None] = lambda _parser: None,
) -> int:
    """One benchmark as a program: measures, prints the table, writes JSON if asked to."""
    made = parser(name, about)
    more(made)
    options = settled(made.parse_args())
    around = surroundings()
    rows = measure(options)
    print(table(rows), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"surroundings": around, name: rows}, indent=1), encoding="utf-8")
    return 0
