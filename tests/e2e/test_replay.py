"""The recorded market through exchange and gateway: every depth a strategy gets is the raw file's."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn, Protocol

import pytest
from support.processes import trading
from support.recording import NAME, books, levels, recording

# Fast enough for a test run, slow enough that the seconds before the strategy has subscribed are few.
SPEED = 8


class MachineLacks(Protocol):
    """Skips the test that asks."""

    def __call__(self, what: str) -> NoReturn: ...


@pytest.mark.timeout(200)
def test_every_depth_delivered_equals_the_recording(machine_lacks: MachineLacks, tmp_path: Path) -> None:
    """At the same update id, level by level; at least 95 % of the recorded updates are delivered."""
    file = recording()
    if file is None:
        machine_lacks(f"no recording {NAME}: TRADINGSYS_RECORDINGS names no folder that has it")
    expected = books(file)
    compared = set()
    with trading(tmp_path, "--replay", str(file), "--replay-speed", str(SPEED)) as (_, gateway):
        gateway.start()
        client = gateway.client(1)
        client.call("subscribe", streams=["btcusdt@depth:100ms"])
        while max(expected) not in compared:
            frame = client.until(lambda frame: frame.get("stream") == "btcusdt@depth:100ms")
            data = frame["data"]
            update = data["update_id"]
            assert (levels(data["bids"]), levels(data["asks"])) == expected[update], f"update {update}"
            compared.add(update)
    print(f"compared {len(compared)} of {len(expected)} recorded updates")
    assert len(compared) >= len(expected) * 0.95
