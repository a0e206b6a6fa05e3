"""A gateway that dies at every named place, with real processes and sockets.

`TRADINGSYS_SEED` replays a run; `./dev soak kill` makes many rounds of it.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest
from support.deaths import VARIABLE, places, round_of_deaths
from support.processes import Exchange, Gateway, program

SEED = int(os.environ.get("TRADINGSYS_SEED", "1"))
ROUNDS = int(os.environ.get("TRADINGSYS_ROUNDS", "1"))
AT_EACH = int(os.environ.get("TRADINGSYS_AT_EACH", "1"))
Desk = tuple[Exchange, Gateway]


def traces(binary: Path, words: list[str]) -> list[str]:
    """Which of the words are in a program."""
    content = binary.read_bytes()
    return [word for word in words if word.encode() in content]


def test_a_gateway_without_the_feature_has_no_trace_of_it(desk: Desk) -> None:
    """What `cargo build` makes without the feature; with it all of them are found, so the search can find."""
    words = [VARIABLE, *places(desk[1])]
    assert len(words) > 12
    folder = os.environ.get("TRADINGSYS_PLAIN_DIR")
    assert folder is not None, "./dev test builds the gateways once more without failpoints and says where"
    for name in ("spot", "usdt"):
        assert traces(program(name), words) == words
        assert traces(Path(folder) / name, words) == []


@pytest.mark.timeout(0)
def test_r51_r52_i1_i21_killed_at_every_place(tmp_path: Path) -> None:
    """0 fills lost, doubled or misattributed; one order for a command; every edit counted once."""
    deaths: Counter[str] = Counter()
    edits, began = 0, time.monotonic()
    for seed in range(SEED, SEED + ROUNDS):
        replay = f"replay: ./dev soak kill --seed {seed} --loops 1 --at-each {AT_EACH}"
        print(f"round with seed {seed}; {replay}", flush=True)
        found = round_of_deaths(tmp_path / f"round{seed}", seed, AT_EACH)
        deaths += found.deaths
        edits += found.user.edits
        took = time.monotonic() - began
        print(f"{deaths.total()} deaths, {edits} edits, {took:.0f} s: nothing lost", flush=True)
    for place in found.places:
        print(f"{deaths[place]:6}  {place}")
    assert all(deaths[place] for place in found.places), "a place was never reached"
