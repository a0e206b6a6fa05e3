"""A gateway whose event loop never sleeps."""

from __future__ import annotations

import time
from pathlib import Path

from support.processes import Gateway, eventually


def awake(gateway: Gateway, seconds: float = 0.5) -> float:
    """Which part of the time the main thread ran or would have, had it been given a core."""

    def taken() -> int:
        ran, waited, _ = Path(f"/proc/{gateway.running.popen.pid}/schedstat").read_text().split()
        return int(ran) + int(waited)

    at, before = time.monotonic_ns(), taken()
    time.sleep(seconds)
    return (taken() - before) / (time.monotonic_ns() - at)


def test_a_loop_that_spins_never_sleeps_and_trades_as_another(gateway: Gateway) -> None:
    gateway.start()
    assert awake(gateway) < 0.5, "the usual loop sleeps"
    gateway.running.end()
    gateway.config["spin"] = True
    gateway.write_config()
    gateway.start()
    client = gateway.client()
    assert awake(gateway) > 0.8
    client.buy("10")
    eventually(lambda: gateway.position() == "9.99", "the position in pos.db")
    client.close()
    assert gateway.running.end() == 143, "it hears signals"
