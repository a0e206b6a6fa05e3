"""The recorded market through the simulator, held against a rebuild of the raw file without its code."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import MachineLacks
from support.processes import PATIENCE
from support.recording import FUTURES, NAME, Rows, books, levels
from support.recording import recording as found
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

BINARY = Path(os.environ.get("TRADINGSYS_BIN_DIR", "target/debug")) / "binance-sim"
# How much faster than it was recorded, at first; a machine that is too slow for that takes more time.
SPEEDS = (20, 5, 1)
# The perpetual has twice the frames, and a reader that falls behind by thousands of them is cut off.
FUTURES_SPEEDS = (8, 3, 1)
PATIENT: dict[str, Any] = {"open_timeout": PATIENCE, "ping_interval": None}
Expected = dict[int, tuple[Rows, Rows]]


@pytest.fixture
def recording(machine_lacks: MachineLacks) -> Path:
    file = found()
    if file is None:
        machine_lacks(f"no recording {NAME}: TRADINGSYS_RECORDINGS names no folder that has it")
    return file


@contextmanager
def replayed(file: Path, speed: int) -> Iterator[str]:
    """The simulator showing that file; where its streams are."""
    command = [str(BINARY), "--port", "0", "--replay", str(file), "--replay-speed", str(speed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield str(json.loads(process.stdout.readline())["streams"])
    finally:
        process.kill()
        process.communicate()


def compared_at_some(
    speeds: tuple[int, ...], file: Path, compared: Callable[[str, Expected], Iterator[int]]
) -> None:
    """At least 95 % of the recorded updates are compared, at one of the speeds."""
    expected = books(file)
    for speed in speeds:
        found = 0
        with replayed(file, speed) as streams, suppress(ConnectionClosed):
            for found, _ in enumerate(compared(streams, expected), 1):  # noqa: B007
                pass
        print(f"compared {found} of {len(expected)} recorded updates at {speed} times the speed")
        if found >= len(expected) * 0.95:
            return
    pytest.fail("fewer than 95 % at any speed")


def spot_depths(streams: str, expected: Expected) -> Iterator[int]:
    """Updates, each of them as it was recorded, up to the last."""
    with connect(f"{streams}/ws/btcusdt@depth20@100ms", **PATIENT) as link:
        update = 0
        while update != max(expected):
            frame = json.loads(link.recv(PATIENCE))
            update = frame["lastUpdateId"]
            assert (levels(frame["bids"]), levels(frame["asks"])) == expected[update], f"update {update}"
            yield update


def perpetual_depths(streams: str, expected: Expected) -> Iterator[int]:
    """The same of the perpetual, and every difference names the one before it."""
    names = "btcusdt@depth20@100ms/btcusdt@depth@100ms"
    with connect(f"{streams}/public/stream?streams={names}", **PATIENT) as link:
        shown, told = 0, None
        while shown != max(expected):
            frame = json.loads(link.recv(PATIENCE))
            data = frame["data"]
            if frame["stream"] == "btcusdt@depth@100ms":
                assert told in (None, data["pu"]), "every difference names the one before it"
                told = data["u"]
                continue
            shown = data["u"]
            assert (levels(data["b"]), levels(data["a"])) == expected[shown], f"update {shown}"
            yield shown


@pytest.mark.timeout(3_600)
def test_each_depth_equals_the_raw_recording(recording: Path) -> None:
    compared_at_some(SPEEDS, recording, spot_depths)


@pytest.mark.timeout(3_600)
def test_each_depth_of_the_perpetual_equals_the_raw_recording(machine_lacks: MachineLacks) -> None:
    file = found(FUTURES)
    if file is None:
        machine_lacks(f"no recording {FUTURES}: TRADINGSYS_RECORDINGS names no folder that has it")
    compared_at_some(FUTURES_SPEEDS, file, perpetual_depths)
