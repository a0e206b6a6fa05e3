"""The reference programs, unchanged, through the real processes."""

from __future__ import annotations

import fcntl
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MachineLacks
from support.processes import PATIENCE, Exchange, Gateway, bindable, eventually, whole_lines
from support.strategies import StartStrategy

Desk = tuple[Exchange, Gateway]


@pytest.fixture
def usual_port(machine_lacks: MachineLacks) -> Iterator[None]:
    """8111, as the programs have it, for one test at a time of all that run on this machine."""
    with (Path(tempfile.gettempdir()) / "tradingsys-port-8111").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all(bindable(family, 8111) for family in (socket.AF_INET, socket.AF_INET6)):
            machine_lacks("something else listens at port 8111")
        yield


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    """A journal of the exchange."""
    return whole_lines(folder / "sim" / name)


@pytest.mark.usefixtures("usual_port")
def test_row_004_05_17_49_the_reference_demo_places_one_order_and_ends_it(
    desk: Desk, strategy: StartStrategy, tmp_path: Path
) -> None:
    """One LIMIT BUY of 10 DOGE, then one cancel or one fill; the fill is in pos.db."""
    _, gateway = desk
    gateway.config["local"] = "ws://localhost:8111"
    gateway.write_config()
    gateway.start()
    demo = strategy("reference/demo.py")

    def over() -> list[dict[str, Any]]:
        ends = ("FILLED", "CANCELED")
        return [line for line in lines(tmp_path, "orders.jsonl") if line["status"] in ends]

    last = eventually(over, "the demo's order to end")[0]
    demo.popen.send_signal(signal.SIGINT)
    assert demo.popen.wait(PATIENCE) == 0, demo.words()
    placed = [line for line in lines(tmp_path, "orders.jsonl") if line["event"] == "NEW"]
    assert [(line["symbol"], line["side"], line["type"], line["qty"]) for line in placed] == [
        ("DOGEUSDT", "BUY", "LIMIT", "10")
    ]
    if last["status"] == "FILLED":
        eventually(lambda: gateway.position() == "9.99", "the fill, less its fee in DOGE, in pos.db")


@pytest.mark.usefixtures("usual_port")
def test_row_004_40_41_the_reference_printer_prints_and_stops(desk: Desk, strategy: StartStrategy) -> None:
    """`eng.start()`, a lambda that prints, a signal."""
    _, gateway = desk
    gateway.config["local"] = "ws://localhost:8111"
    gateway.write_config()
    gateway.start()
    printer = strategy("reference/print_depth.py")
    eventually(lambda: "dogeusdt" in printer.words(), "a depth to be printed")
    printer.popen.send_signal(signal.SIGTERM)
    assert printer.popen.wait(PATIENCE) == 0, printer.words()


def test_row_004_67_killed_ten_times_there_is_still_one_order(
    desk: Desk, strategy: StartStrategy, tmp_path: Path
) -> None:
    """A strategy that comes back finds its order and places no second."""
    _, gateway = desk
    gateway.start()
    heard = tmp_path / "heard"
    process = strategy("strategies/keep_one.py", gateway.url, str(heard))
    eventually(lambda: heard.exists() and "depth o" in heard.read_text(), "the order to be known")
    for _ in range(10):
        process.kill()
        heard.unlink()
        process.start()
        eventually(lambda: heard.exists() and " NEW" in heard.read_text(), "the order to be found again")
    placed = [line for line in lines(tmp_path, "orders.jsonl") if line["event"] == "NEW"]
    assert len(placed) == 1, placed
