"""The package as maturin makes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import program

ROOT = Path(__file__).parents[2]
# The workspace's profile, but for what is compiled anew: nobody waits for a fast library here.
QUICK = [f"--config=profile.dev.package.{name}.opt-level=0" for name in ("tradingsys", "pyalgo")]
ONE_LINE = "import pyalgo; pyalgo.Engine().stop(); print(pyalgo.__file__)"


@pytest.mark.timeout(7_200)  # some crates are compiled with other features than the workspace's
def test_row_004_36_maturin_makes_a_wheel_that_imports(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "maturin", "build", "--locked", "--offline", "--interpreter"]
    environment = os.environ | {"CARGO_TARGET_DIR": str(program("spot").parents[1])}
    done = subprocess.run(
        [*command, sys.executable, *QUICK, "--out", str(tmp_path)],
        cwd=ROOT / "pyalgo", env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("pyalgo-*.whl")
    fresh = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", fresh], check=True)
    python = fresh / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, wheel], check=True)
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    told = subprocess.run([python, "-c", ONE_LINE], env=alone, cwd=fresh, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert Path(told.stdout.strip()).is_relative_to(fresh)
    command = [fresh / "bin" / "pyalgo", "verify", "--db", fresh]
    asked = subprocess.run(command, env=alone, capture_output=True, text=True)
    assert asked.returncode == 2 and "no journal.db" in asked.stderr, asked
