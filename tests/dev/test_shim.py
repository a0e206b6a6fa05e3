"""The shim `dev` and the first words of tools/dev.py."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from devlib import programs
from devlib.console import Stop

ROOT = Path(__file__).resolve().parents[2]


def dev(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHON"} | environment
    return subprocess.run(
        [str(ROOT / "dev"), *arguments], env=env, capture_output=True, text=True, check=False, timeout=300
    )


def test_without_a_python_it_says_what_to_install(tmp_path: Path) -> None:
    done = dev("test", PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (69, "")
    assert "apt install python3" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_old_python_does_not_count(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    assert dev("test", PATH=str(tmp_path)).returncode == 69


def test_a_named_python_that_does_not_fit_is_not_replaced_in_silence() -> None:
    done = dev("help", PYTHON="/nonexistent/python")
    assert done.returncode == 69
    assert "PYTHON=/nonexistent/python" in done.stderr


def test_it_runs_from_another_directory_with_the_named_python(tmp_path: Path) -> None:
    done = subprocess.run(
        [os.path.relpath(ROOT / "dev", tmp_path), "help"],
        cwd=tmp_path,
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ./dev TASK")


def test_an_unknown_task_names_those_there_are() -> None:
    done = dev("tset")
    assert done.returncode == 2
    assert "demo, test, check" in done.stderr


def test_no_task_is_a_usage_error() -> None:
    assert dev().returncode == 2


def test_the_options_of_the_demo_are_looked_at_before_it_waits_or_builds(tmp_path: Path) -> None:
    lock = ROOT / ".dev" / "lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("a+", encoding="utf-8") as file:
        # Held here, or by the ./dev that runs this test: both must not matter.
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        done = dev("demo", "--colour", DEV_LOCK_HELD="")
        assert done.returncode == 2 and "--colour" in done.stderr
        done = dev("demo", "--help", DEV_LOCK_HELD="")
        assert done.returncode == 0 and "--stay" in done.stdout


@pytest.mark.parametrize("task", [programs.soak, programs.bench])
def test_an_unknown_program_lists_what_there_is(task: object) -> None:
    assert callable(task)
    with pytest.raises(Stop, match="there are: ") as stop:
        task(["nothing-of-that-name"])
    assert stop.value.code == 2


def test_two_terminals_take_turns(tmp_path: Path) -> None:
    """The second process says whom it waits for, and goes on when the first lets go."""
    script = f"""
import sys; sys.path.insert(0, {str(ROOT / "tools")!r})
from pathlib import Path
from devlib import lock
with lock.exclusive(Path({str(tmp_path)!r}) / "lock"):
    print("mine", flush=True)
"""
    env = {name: value for name, value in os.environ.items() if name != "DEV_LOCK_HELD"}
    with (tmp_path / "lock").open("w", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write("4711")
        held.flush()
        second = subprocess.Popen([sys.executable, "-c", script], env=env, stdout=subprocess.PIPE, text=True)
        assert second.stdout is not None
        assert second.stdout.readline() == "dev: waiting for another ./dev in this checkout (process 4711)\n"
    assert second.communicate(timeout=300)[0] == "mine\n"
    assert second.returncode == 0
