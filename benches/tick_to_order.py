"""Tick in, order out: exchange → gateway → strategy in Python → gateway → exchange, beside a bare relay.

Every row is taken in rounds: the relay, then the gateway, then the relay again, and so on. Microseconds from
before the write of a tick to after the read of the order it caused, both in the exchange's process.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass, field, replace

from benchlib.figures import Row, program, ratios, spread
from benchlib.system import Process, System, system

WARM_S = 0.3
# An order at so many ticks a second, whatever the rate of ticks.
ORDERS_PER_S = 250


@dataclass
class Case:
    """One row."""

    view: str
    rate: int
    transport: str
    spin: bool = False

    @property
    def name(self) -> str:
        """As the table has it."""
        return f"{self.view} {self.rate}/s {self.transport}{' spinning' if self.spin else ''}"


CASES = [
    Case(view, rate, transport)
    for view in ("bbo", "depth")
    for rate in (1000, 10000)
    for transport in ("tcp", "unix")
]
CASES += [Case("bbo", 1000, transport, True) for transport in ("tcp", "unix")]


@dataclass
class Runs:
    """What the rounds of one row found."""

    latencies: list[list[float]] = field(default_factory=list)
    expected: int = 0
    # Nanoseconds on a core per tick, by process.
    cpu: dict[str, list[float]] = field(default_factory=dict)
    late: float = 0
    # Orders that the SDK did not send, because as many as it may have were under way.
    refused: int = 0

    def ticks(self, bench: System, case: Case, seconds: float, bare: bool, **processes: Process) -> None:
        """One run."""
        every = max(case.rate // ORDERS_PER_S, 1)
        wish = {"view": case.view, "rate": case.rate, "every": every, "bare": bare}
        bench.exchange.ask(do="ticks", count=int(case.rate * WARM_S), **wish)
        before = {name: process.cpu_ns() for name, process in processes.items()}
        count = int(case.rate * seconds)
        found = bench.exchange.ask(do="ticks", count=count, **wish)
        for name, process in processes.items():
            self.cpu.setdefault(name, []).append((process.cpu_ns() - before[name]) / count)
        sent = dict(found["sent"])
        self.latencies.append([at - sent[number] for number, at in found["orders"] if number in sent])
        self.expected += len(sent)
        self.late = max(self.late, found["late"])

    def cpu_us(self, name: str) -> float:
        """Microseconds on a core per tick: the median run."""
        return statistics.median(self.cpu[name]) / 1000

    @property
    def answered(self) -> float:
        """Which part of the ticks that ask for an order got one; the rest was overtaken by newer ticks."""
        return sum(map(len, self.latencies)) / max(self.expected, 1)


def round_of_relay(bench: System, case: Case, seconds: float, runs: Runs) -> None:
    """One run of the relay."""
    relay, address = bench.relay(case.transport, *(["--spin"] if case.spin else []))
    client = bench.relay_client(address, max(case.rate // ORDERS_PER_S, 1))
    runs.ticks(bench, case, seconds, True, gateway=relay, strategy=client)
    relay.close()
    client.close()


def round_of_gateway(bench: System, case: Case, seconds: float, runs: Runs) -> None:
    """One run of the gateway with its strategy."""
    every, interval = max(case.rate // ORDERS_PER_S, 1), 0 if case.spin else 0.001
    strategy = bench.strategy("ticks", bench.address(case.transport), case.view, every, interval)
    runs.ticks(bench, case, seconds, False, gateway=bench.gateway, strategy=strategy)
    runs.refused += strategy.report()["refused"]


def row(case: Case, ours: Runs, theirs: Runs) -> Row:
    """A row of the table."""
    here, there, ratio = (
        spread(ours.latencies),
        spread(theirs.latencies),
        ratios(ours.latencies, theirs.latencies),
    )
    return {
        "tick-to-order": case.name,
        **{f"{name} µs": value for name, value in here.items()},
        **{f"relay {name}": value for name, value in there.items()},
        **{f"times {name}": value for name, value in ratio.items()},
        "gateway CPU µs": ours.cpu_us("gateway"),
        "strategy CPU µs": ours.cpu_us("strategy"),
        "relay CPU µs": theirs.cpu_us("gateway"),
        "times CPU": ours.cpu_us("gateway") / theirs.cpu_us("gateway"),
        "answered": ours.answered,
        "refused": ours.refused,
    }


def measure(options: argparse.Namespace) -> list[Row]:
    """All rows."""
    rows = []
    # So slow that each tick is answered: on a busy machine newer ones would overtake all that ask for one.
    cases = [replace(case, rate=100) for case in (CASES[0], CASES[-1])] if options.quick else CASES
    for spin in (False, True):
        with system(spin=spin) as bench:
            for case in (case for case in cases if case.spin == spin):
                ours, theirs = Runs(), Runs()
                for _ in range(options.rounds):
                    round_of_relay(bench, case, options.seconds, theirs)
                    round_of_gateway(bench, case, options.seconds, ours)
                rows.append(row(case, ours, theirs))
    return rows


if __name__ == "__main__":
    sys.exit(program("tick-to-order", __doc__, measure))
