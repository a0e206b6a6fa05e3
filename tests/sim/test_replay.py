"""The recorded market through the simulator, held against a rebuild of the raw file without its code."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from conftest import MachineLacks
from support.recording import FUTURES, NAME, books, levels
from support.recording import recording as found
from websockets.sync.client import connect

BINARY = Path(os.environ.get("TRADINGSYS_BIN_DIR", "target/debug")) / "binance-sim"
SPEED = 20
# The perpetual has twice the frames, and a reader that falls behind by thousands of them is cut off.
FUTURES_SPEED = 8


@pytest.fixture
def recording(machine_lacks: MachineLacks) -> Path:
    file = found()
    if file is None:
        machine_lacks(f"no recording {NAME}: TRADINGSYS_RECORDINGS names no folder that has it")
    return file


def test_each_depth_equals_the_raw_recording(recording: Path) -> None:
    expected = books(recording)
    command = [str(BINARY), "--port", "0", "--replay", str(recording), "--replay-speed", str(SPEED)]
    compared = 0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())
        last = max(expected)
        with connect(f"{address['streams']}/ws/btcusdt@depth20@100ms") as link:
            update = 0
            while update != last:
                frame = json.loads(link.recv(30))
                update = frame["lastUpdateId"]
                assert (levels(frame["bids"]), levels(frame["asks"])) == expected[update], f"update {update}"
                compared += 1
    finally:
        process.kill()
        process.communicate()
    print(f"compared {compared} of {len(expected)} recorded updates")
    assert compared >= len(expected) * 0.95


def test_each_depth_of_the_perpetual_equals_the_raw_recording(machine_lacks: MachineLacks) -> None:
    file = found(FUTURES)
    if file is None:
        machine_lacks(f"no recording {FUTURES}: TRADINGSYS_RECORDINGS names no folder that has it")
    expected = books(file)
    command = [str(BINARY), "--port", "0", "--replay", str(file), "--replay-speed", str(FUTURES_SPEED)]
    compared = 0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())
        names = "btcusdt@depth20@100ms/btcusdt@depth@100ms"
        with connect(f"{address['streams']}/public/stream?streams={names}") as link:
            last, shown, told = max(expected), 0, None
            while shown != last:
                frame = json.loads(link.recv(30))
                data = frame["data"]
                if frame["stream"] == "btcusdt@depth@100ms":
                    assert told in (None, data["pu"]), "every difference names the one before it"
                    told = data["u"]
                    continue
                shown = data["u"]
                assert (levels(data["b"]), levels(data["a"])) == expected[shown], f"update {shown}"
                compared += 1
    finally:
        process.kill()
        process.communicate()
    print(f"compared {compared} of {len(expected)} recorded updates")
    assert compared >= len(expected) * 0.95
