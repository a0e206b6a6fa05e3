"""Edits, fills, showings and deaths in any order on a real gateway's files, each judged before the next.

`./dev soak books --binary 1000` makes many of them; `TRADINGSYS_SEED` replays a run's draws.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest
from support.interleavings import interleave

SEED = int(os.environ.get("TRADINGSYS_SEED", "1"))
COUNT = int(os.environ.get("TRADINGSYS_INTERLEAVINGS", "10"))
# A folder's journal only grows: a new one after so many.
OF_ONE_HOUSE = 100


@pytest.mark.timeout(600 + 30 * COUNT)
def test_i21_edits_and_deaths_of_a_real_gateway_in_any_order_come_to_one_sum(tmp_path: Path) -> None:
    judged, kinds, edits, began = 0, Counter[str](), 0, time.monotonic()
    for number, seed in enumerate(range(SEED, SEED + -(-COUNT // OF_ONE_HOUSE))):
        count = min(OF_ONE_HOUSE, COUNT - number * OF_ONE_HOUSE)
        print(f"seed {seed}; replay: ./dev soak books --binary {count} --seed {seed}", flush=True)
        found = interleave(tmp_path / f"house{seed}", seed, count)
        judged, edits = judged + found.judged, edits + found.user.edits
        kinds += found.kinds
        took = time.monotonic() - began
        print(f"{judged} interleavings judged, {edits} edits, {took:.0f} s: 0 wrong", flush=True)
    for kind, often in sorted(kinds.items()):
        print(f"{often:6}  {kind}")
    assert judged == COUNT == kinds.total(), f"{judged} of {COUNT} were judged"
