"""./dev demo as a whole: the real gateway, the real exchange, real kills."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "tools" / "demo.py"


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    assert "TRADINGSYS_BIN_DIR" in os.environ, "run it by ./dev test, which builds the binaries"
    return [sys.executable, str(DEMO), "--out", str(tmp_path / "out")]


def test_the_books_hold_through_both_kills(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run([*command, "--seconds", "24"], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "strategy maker killed" in said
    assert "gateway killed" in said
    assert "each booked once and under its session" in said
    assert (tmp_path / "out" / "gateway" / "pos.db").exists()


def test_ctrl_c_leaves_no_process_behind(command: list[str], tmp_path: Path) -> None:
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert demo.stdout is not None
    for line in demo.stdout:
        if "strategy momentum started" in line:
            break
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert living_in(tmp_path) == []


def living_in(folder: Path) -> list[str]:
    """Process ids whose working directory lies in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append(process.name)
    return found


def test_a_folder_that_is_not_a_demos_is_left_alone(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work", encoding="utf-8")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is not the folder of a demo" in done.stderr
    assert (tmp_path / "out" / "thesis.txt").exists()
