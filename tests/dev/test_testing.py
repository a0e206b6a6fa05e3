"""The closing line of ./dev test and what CI makes of a skip."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from devlib import testing
from devlib.testing import Tally

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"


def test_the_closing_line_sums_both(capsys: pytest.CaptureFixture[str]) -> None:
    total = Tally(passed=3, failed=0, skipped=1) + Tally(passed=4, failed=2)
    assert testing.conclude(total, strict=False) == 1
    assert capsys.readouterr().out == "7 passed, 2 failed, 1 skipped\n"


def test_no_test_at_all_is_a_failure() -> None:
    assert testing.conclude(Tally(), strict=False) == 1
    assert testing.conclude(Tally(passed=1), strict=False) == 0


def test_cargos_lines_are_counted() -> None:
    lines = [
        "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s",
        "test ids::tests::slow ... ignored",
        "test ids::tests::quick ... ok",
    ]
    total = Tally()
    for line in lines:
        total += testing._cargo_line(line)
    assert total == Tally(passed=6, failed=2, skipped=1, unexcused=["ids::tests::slow"])


def test_ci_forgives_only_a_skip_that_says_what_the_machine_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real pytest on a real file with the real fixture."""
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "test_it.py").write_text(
        """
import pytest
def test_good(): pass
def test_bad(): assert False
def test_lacks(machine_lacks): machine_lacks("no IPv6 loopback")
def test_lazy(): pytest.skip("not today")
@pytest.fixture
def broken(): raise OSError
def test_error(broken): pass
""",
        encoding="utf-8",
    )
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    env = os.environ | {"PYTHONPATH": str(CONFTEST.parent)}
    subprocess.run([*command, "test_it.py"], cwd=tmp_path, env=env, capture_output=True, check=False)
    tally = testing.read_report(report)
    assert tally == Tally(passed=1, failed=2, skipped=2, unexcused=["test_it::test_lazy"])
    testing.conclude(tally, strict=True)
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 3 failed, 1 skipped"
