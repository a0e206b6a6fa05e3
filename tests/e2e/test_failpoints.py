"""A gateway that dies at every named place, with real processes and sockets.

`TRADINGSYS_SEED` replays a run; `./dev soak kill` makes many rounds of it.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import pytest
from support.deaths import ONLY_FIRST, VARIABLE, places, round_of_deaths
from support.processes import Exchange, Gateway, program

SEED = int(os.environ.get("TRADINGSYS_SEED", "1"))
ROUNDS = int(os.environ.get("TRADINGSYS_ROUNDS", "1"))
AT_EACH = int(os.environ.get("TRADINGSYS_AT_EACH", "1"))
# They take turns.
PRODUCTS = os.environ.get("TRADINGSYS_PRODUCTS", "spot").split(",")
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
    deaths: Counter[tuple[str, str]] = Counter()
    edits, began = 0, time.monotonic()
    for number, seed in enumerate(range(SEED, SEED + ROUNDS)):
        product = PRODUCTS[number % len(PRODUCTS)]
        replay = f"replay: ./dev soak kill --seed {seed} --loops 1 --at-each {AT_EACH} --product {product}"
        print(f"round with seed {seed} of {product}; {replay}", flush=True)
        found = round_of_deaths(tmp_path / f"round{seed}", seed, AT_EACH, product)
        deaths += Counter({(product, place): count for place, count in found.deaths.items()})
        edits += found.user.edits
        took = time.monotonic() - began
        print(f"{deaths.total()} deaths, {edits} edits, {took:.0f} s: nothing lost", flush=True)
    met = [product for product in PRODUCTS if any(key[0] == product for key in deaths)]
    for place in found.places:
        print("  ".join(f"{deaths[product, place]:6} {product}" for product in met), place, sep="  ")
    missed = [key for product in met for place in found.places if not deaths[key := (product, place)]]
    assert not missed, f"a place was never reached: {missed}"


def test_r51_r52_i1_i21_the_futures_gateway_killed_at_some_places(tmp_path: Path) -> None:
    """Six places drawn by the seed, and the first start; `./dev soak kill` comes by all of them."""
    found = round_of_deaths(tmp_path / "round", SEED, 1, "usdt", most=6)
    print(f"seed {SEED}: {dict(found.deaths)}, {found.user.edits} edits: nothing lost")
    assert found.deaths.total() == 7 and found.deaths[ONLY_FIRST] == 1
    assert {trade["symbol"] for trade in found.trades()} == {"DOGEUSDT"}
