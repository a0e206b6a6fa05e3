"""./dev demo as a whole: the real gateway, the real exchange, real kills."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "tools" / "demo.py"


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    assert "TRADINGSYS_BIN_DIR" in os.environ, "run it by ./dev test, which builds the binaries"
    return [sys.executable, str(DEMO), "--out", str(tmp_path / "out")]


def test_the_books_hold_through_both_kills(command: list[str], tmp_path: Path) -> None:
    # A machine on which one of them did not come to trade in that time takes more.
    for seconds in ("24", "96", "384"):
        done = subprocess.run([*command, "--seconds", seconds], capture_output=True, text=True, check=False)
        if "without a fill" not in done.stdout:
            break
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "strategy maker killed" in said
    assert "gateway killed" in said
    assert "each booked once and under its session" in said
    assert "futures trade on" in said
    assert (tmp_path / "out" / "gateway" / "pos.db").exists()
    assert (tmp_path / "out" / "usdt" / "pos.db").exists()
    edited_as_the_last_words_say(done.stdout, tmp_path)


def edited_as_the_last_words_say(said: str, folder: Path) -> None:
    """A row of its books is changed, its exchange and gateway are started again: the row is honoured."""
    books = folder / "out" / "gateway" / "pos.db"
    with contextlib.closing(sqlite3.connect(books, isolation_level=None)) as shell:
        (row,) = shell.execute("SELECT session_id, symbol FROM position ORDER BY 1 LIMIT 1").fetchall()
        shell.execute("UPDATE position SET qty = 7 WHERE session_id = ? AND symbol = ?", row)
    (exchange,) = re.findall(r"^ +(\S+/binance-sim --port .*)$", said, re.MULTILINE)
    (gateway,) = re.findall(r"^ +(XDG_RUNTIME_DIR=.*/spot -c=\S+)$", said, re.MULTILINE)
    with typed(exchange), typed(gateway):
        pass
    with contextlib.closing(sqlite3.connect(books.with_name("journal.db"))) as shell:
        taken = shell.execute("SELECT session, symbol, qty FROM adjustment").fetchall()
    assert taken == [(*row, "7")]


@contextlib.contextmanager
def typed(command: str) -> Iterator[None]:
    """The command in a terminal, from when it listens until Ctrl-C."""
    running = subprocess.Popen(
        ["env", *command.split()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert running.stdout is not None
    try:
        assert "listening" in running.stdout.readline()
        yield
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=300)


def test_ctrl_c_leaves_no_process_behind(command: list[str], tmp_path: Path) -> None:
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert demo.stdout is not None
    for line in demo.stdout:
        if "strategy hedge started" in line:
            break
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=300)
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
