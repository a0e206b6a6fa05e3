"""Strategies in Python in the world: the whole system in virtual time, the SDK with its Python face in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import program as built

STEPPED = Path(__file__).with_name("strategies") / "stepped.py"
FIRST = int(os.environ.get("TRADINGSYS_SEED", "0"))
SCHEDULES = 24
PLAN = "seed=94 product=usdt length_ms=20000 drop_event=83731 kill_gateway=150000 kill_strategy=124530"


def world(*arguments: str, program: Path = STEPPED) -> tuple[int, str]:
    """Runs schedules with the program in the first seat; its exit status and words."""
    command = [built("tradingsys-world"), f"--program={sys.executable} {program}", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.timeout(3_600)
def test_i1_i5_i14_a_python_strategy_is_told_of_everything_once_under_all_faults() -> None:
    """Of each event of an order, once and in order; killed, cut off, dead in the middle of a callback."""
    status, words = world(f"--seeds={FIRST}..{FIRST + SCHEDULES}")
    assert status == 0, words
    times = {name.strip(): int(n) for name, n in re.findall(r"(?m)^(.+?) {2,}(\d+)$", words)}
    for fault in ("strategy died by itself", "strategy killed", "strategy cut", "gateway killed", "link cut"):
        assert times[fault] > 0, words
    orders = re.search(r"(\d+) schedules, (\d+) orders", words)
    assert orders is not None, words
    assert int(orders[1]) == SCHEDULES
    assert int(orders[2]) > 20 * SCHEDULES


def test_the_same_plan_is_the_same_run_to_the_nanosecond() -> None:
    """Time stands still while the process thinks, so nothing of the machine's own pace is in it."""
    (first, told), (second, again) = world("--tell", f"--plan={PLAN}"), world("--tell", f"--plan={PLAN}")
    assert first == second == 0, told
    assert told.count("journal: Event") > 20, told
    assert told == again


SKIPS = "        if at and at[1] % 9 == 0:\n            return\n"
LEAVES_OUT = {"        self.last = at\n": "        self.last = at\n" + SKIPS}
HAS_TWICE = {"or (self.last is not None and at <= self.last)": "", "cursor=diary.last": "cursor=None"}


@pytest.mark.parametrize("forgets", [LEAVES_OUT, HAS_TWICE], ids=["leaves_out", "has_twice"])
def test_a_strategy_that_forgets_is_noticed(tmp_path: Path, forgets: dict[str, str]) -> None:
    """What is judged is the strategy's own file: where an event is not in it, or is twice, the run is red."""
    text = STEPPED.read_text(encoding="utf-8")
    for kept, instead in forgets.items():
        assert text.count(kept) == 1
        text = text.replace(kept, instead)
    wrong = tmp_path / "wrong.py"
    wrong.write_text(text, encoding="utf-8")
    status, words = world("--seeds=0..40", program=wrong)
    assert status == 1, words
    assert 'law: "I14' in words
