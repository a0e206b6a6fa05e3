"""Fills, showings, edits and crashes on real `pos.db` files: `./dev soak books --schedules 100000 --seed 0`.

The schedules of the runtime's own test, many more of them. A failure prints the seed that repeats it.
`--binary 1000` makes so many interleavings of a real gateway on its own files instead, killed for each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from devlib import setup

REAL = "tests/e2e/test_interleavings.py"
TEST = "i21_fills_showings_edits_and_crashes_in_any_order_come_to_one_sum"


def test_program() -> str:
    """The runtime's tests, as ./dev has built them: nothing is compiled again."""
    command = [
        "cargo",
        "test",
        "--workspace",
        "--locked",
        "--no-run",
        "--message-format=json",
        setup.FAILPOINTS,
    ]
    made = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    for artifact in map(json.loads, made.splitlines()):
        target = artifact.get("target", {}).get("name")
        if target == "tradingsys_runtime" and artifact.get("profile", {}).get("test"):
            return str(artifact["executable"])
    raise SystemExit("cargo names no program with the runtime's tests")


def real(count: int, seed: int) -> int:
    """Runs the test of real gateways with as many interleavings as asked for; fewer are a failure."""
    asked = {"TRADINGSYS_INTERLEAVINGS": str(count), "TRADINGSYS_SEED": str(seed)}
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-x", REAL]
    return subprocess.run(command, env=os.environ | asked, check=False).returncode


def main() -> int:
    """Runs the test with as many schedules as asked for."""
    parser = argparse.ArgumentParser(prog="./dev soak books", description=__doc__)
    parser.add_argument("--schedules", type=int, default=100_000, help="how many (100000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first (0)")
    parser.add_argument("--binary", type=int, metavar="N", help="N interleavings of a real gateway instead")
    options = parser.parse_args()
    if options.binary is not None:
        return real(options.binary, options.seed)
    asked = {"TRADINGSYS_SCHEDULES": str(options.schedules), "TRADINGSYS_FIRST_SEED": str(options.seed)}
    return subprocess.run(
        [test_program(), TEST, "--nocapture"], env=os.environ | asked, check=False
    ).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
