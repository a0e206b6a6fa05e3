"""The benchmarks run: tiny counts, every one of them. What they find is nobody's business here."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from devlib import programs

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted(path.stem for path in (ROOT / "benches").glob("[a-z]*.py") if path.stem != "all")
# What each row must say, beside its own name.
KEYS = {
    "tick_to_order": {
        "p50 µs", "p99 µs", "p99.9 µs", "relay p50", "times p50", "gateway CPU µs", "strategy CPU µs",
        "answered",
    },
    "private_events": {"p50 µs", "p99 µs", "p99.9 µs", "relay p50", "+ p50", "+ p99.9"},
    "fan_out": {"late p50 µs", "late p99 µs", "CPU µs per tick", "relay CPU µs per tick", "told"},
    "crowd": {"p50 µs", "p99 µs", "p99 least", "p99 most", "gateway MB"},
    "contain": {"tick p99 ms", "accept p99 ms", "ticks", "orders", "contained"},
    "orders": {"orders/s", "orders", "events", "CPU µs per order", "memory B per order"},
    "pauses": {"p50 µs", "p99 µs", "p99.9 µs", "longest µs", "times p99.9"},
    "sdk": {"value"},
    "instructions": {"gateway", "strategy"},
    "start": {"seconds", "MiB"},
}  # fmt: skip


def run(program: str, folder: Path) -> dict[str, Any]:
    """Runs one with tiny counts, in which nothing may come about on a machine that stalls; what it wrote."""
    path = folder / "found.json"
    command = [sys.executable, ROOT / "benches" / f"{program}.py", "--quick", f"--json={path}"]
    for _ in range(5):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if "told of in time" not in done.stderr and (not path.exists() or "NaN" not in path.read_text()):
            break
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert done.stdout.count("\n|") > 1, "a table is shown"
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_benchmark_runs_and_says_what_it_found(
    program: str, tmp_path: Path, machine_lacks: Callable[[str], NoReturn]
) -> None:
    if program == "instructions" and shutil.which("valgrind") is None:
        machine_lacks("no valgrind")
    found = run(program, tmp_path)
    assert found["surroundings"]["build"] in ("debug", "release")
    rows = found[program.replace("_", "-")]
    assert rows
    for row in rows:
        assert row.keys() >= KEYS[program], row
        for name in KEYS[program]:
            assert isinstance(row[name], int | float) and not math.isnan(row[name]), (name, row)


def test_a_flood_counts_once_it_got_to_all_its_orders(tmp_path: Path) -> None:
    file = tmp_path / "flood.jsonl"
    code = "import contain, pathlib, sys; print(contain.floods(pathlib.Path(sys.argv[1])))"

    def told() -> str:
        command = [sys.executable, "-c", code, file]
        return subprocess.run(
            command, cwd=ROOT / "benches", capture_output=True, text=True, check=True
        ).stdout.strip()

    assert told() == "[]"
    file.write_text('["begun"]\n["flooded", {"sent": 30, "limit": 9970}]\n["heard", {"NEW ": 30}]\n["flood')
    assert told() == "[10000]"


def test_the_whole_suite_has_every_benchmark() -> None:
    code = "import all; print(*all.BENCHMARKS)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "benches", capture_output=True, text=True, check=True
    )
    assert sorted(done.stdout.split()) == sorted(name.replace("_", "-") for name in PROGRAMS)


def test_without_a_name_all_of_them_run_on_a_build_for_release(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr(programs.setup, "environment", dict)
    monkeypatch.setattr(programs.setup, "build_benched", lambda _env: steps.append("built") is None)
    monkeypatch.setattr(programs.setup, "bench_environment", dict)
    monkeypatch.setattr(
        programs, "call", lambda command, _env, _cwd: steps.extend(map(str, command[1:])) or 0
    )
    assert programs.bench(["--quick"]) == 0
    assert steps == ["built", str(ROOT / "benches" / "all.py"), "--quick"]
    assert programs.bench(["tick-to-order", "--rounds=1"]) == 0
    assert steps[3:] == ["built", str(ROOT / "benches" / "tick_to_order.py"), "--rounds=1"]
