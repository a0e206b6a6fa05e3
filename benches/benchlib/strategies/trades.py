"""Counts trades: `trades.py ADDRESS TOKEN COUNT`. Says how long they took, in all and on a core."""

from __future__ import annotations

import json
import sys
import time

from pyalgo import Engine, Trade


def main() -> None:
    """Runs until so many trades have come, or were left out."""
    address, token, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
    eng = Engine()
    session = eng.make_session(addr=address, session_id=1, name="trades", token=token, wait=30)
    sub = session.subscribe("dogeusdt", "trade")
    calls = gaps = 0
    began = on_core = 0.0

    def on_data(trade: Trade) -> None:
        nonlocal calls, began, on_core
        if not calls:
            began, on_core = time.perf_counter(), time.process_time()
        calls += 1
        if calls + gaps >= wanted:
            eng.stop()

    def on_gap(count: int) -> None:
        nonlocal gaps
        gaps += count
        if calls + gaps >= wanted:
            eng.stop()

    sub.on_data, sub.on_gap = on_data, on_gap
    print(json.dumps({"ready": True}), flush=True)
    eng.run()
    took, busy = time.perf_counter() - began, time.process_time() - on_core
    print(json.dumps({"calls": calls, "gaps": gaps, "seconds": took, "busy": busy}), flush=True)


main()
