"""The recorded market through the simulator, held against a rebuild of the raw file that shares no code with it."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest
from conftest import MachineLacks
from websockets.sync.client import connect

BINARY = Path(os.environ.get("TRADINGSYS_BIN_DIR", "target/debug")) / "binance-sim"
NAME = "spot_btcusdt_20240808.gz"
SPEED = 20

Side = dict[Decimal, Decimal]


@pytest.fixture
def recording(machine_lacks: MachineLacks) -> Path:
    folder = os.environ.get("TRADINGSYS_RECORDINGS")
    if folder is None or not (Path(folder) / NAME).exists():
        machine_lacks(f"no recording {NAME}: TRADINGSYS_RECORDINGS names no folder that has it")
    return Path(folder) / NAME


def books(path: Path) -> dict[int, tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]]:
    """Update id to the best 20 levels a side that the recorded snapshot covers, after each recorded difference."""
    with gzip.open(path, "rt") as file:
        frames = [json.loads(line.split(" ", 1)[1]) for line in file]
    snapshot = next(frame for frame in frames if "stream" not in frame)
    bids: Side = {Decimal(price): Decimal(qty) for price, qty in snapshot["bids"]}
    asks: Side = {Decimal(price): Decimal(qty) for price, qty in snapshot["asks"]}
    lowest, highest = min(bids), max(asks)
    found = {}
    for frame in frames:
        data = frame.get("data", {})
        if data.get("e") != "depthUpdate" or data["u"] <= snapshot["lastUpdateId"]:
            continue
        for side, rows in ((bids, data["b"]), (asks, data["a"])):
            for price, qty in rows:
                side[Decimal(price)] = Decimal(qty)
        found[data["u"]] = (
            sorted(((p, q) for p, q in bids.items() if q and p >= lowest), reverse=True)[:20],
            sorted((p, q) for p, q in asks.items() if q and p <= highest)[:20],
        )
    return found


def rows(levels: list[list[str]]) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(qty)) for price, qty in levels]


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
                assert (rows(frame["bids"]), rows(frame["asks"])) == expected[update], f"update {update}"
                compared += 1
    finally:
        process.kill()
        process.communicate()
    print(f"compared {compared} of {len(expected)} recorded updates")
    assert compared >= len(expected) * 0.95
