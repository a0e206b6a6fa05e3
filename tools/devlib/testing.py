"""The task `test`: Rust tests, then Python tests, then one line that sums both."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

from devlib import setup, venv
from devlib.console import call, phase, say
from devlib.paths import DEV, PLAIN, ROOT

CARGO_TEST = ["cargo", "test", "--workspace", "--locked", "--no-fail-fast", setup.FAILPOINTS]
CARGO_RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored")
CARGO_IGNORED = re.compile(r"^test (.+) \.\.\. ignored")
# Most tests wait for real processes: three files at a time. Tests of a file share its processes, in order.
BESIDE = ["--numprocesses=3", "--dist=loadfile", "--no-loadscope-reorder"]
# How the fixture `machine_lacks` of tests/conftest.py begins its reason.
MACHINE = "this machine: "


@dataclass
class Tally:
    """Counts of one test run. `unexcused`: skips without a reason why this machine cannot run the test."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    unexcused: list[str] = field(default_factory=list)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.unexcused + other.unexcused,
        )


def run(arguments: list[str]) -> int:
    """All tests; with arguments only pytest with those."""
    env = setup.environment()
    with phase("crates of all platforms"):
        # Tests contact nobody: to make a wheel asks for what other platforms need, too.
        if call(["cargo", "fetch", "--locked"], env, ROOT) != 0:
            return conclude(Tally(failed=1), strict=False)
    # In this order: what is built last is what the tests run.
    built = setup.build_plain(env) and setup.build_all(env)
    total = Tally() if built else Tally(failed=1)
    if not arguments:
        with phase("cargo test"):
            total += rust_tests(env)
    with phase("pytest"):
        plain = {"TRADINGSYS_PLAIN_DIR": str(PLAIN)}
        total += python_tests(setup.test_environment(env) | plain, arguments)
    return conclude(total, strict=os.environ.get("CI") == "true")


def conclude(total: Tally, strict: bool) -> int:
    """Prints the closing line. In strict mode (CI) an unexcused skip is a failure."""
    if strict and total.unexcused:
        for name in total.unexcused:
            say(f"skipped without a reason of this machine: {name}")
        count = len(total.unexcused)
        total = Tally(total.passed, total.failed + count, total.skipped - count)
    say(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed or not total.passed else 0


def rust_tests(env: dict[str, str]) -> Tally:
    """`cargo test` over the workspace, its output passed on line by line."""
    tally = Tally()
    with subprocess.Popen(
        CARGO_TEST,
        env=env,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            tally += _cargo_line(line)
    if process.returncode != 0 and tally.failed == 0:
        # It did not compile, or a test ended its whole process.
        tally.failed = 1
    return tally


def _cargo_line(line: str) -> Tally:
    if result := CARGO_RESULT.match(line):
        return Tally(int(result[1]), int(result[2]), int(result[3]))
    if ignored := CARGO_IGNORED.match(line):
        return Tally(unexcused=[ignored[1]])
    return Tally()


def python_tests(env: dict[str, str], arguments: list[str]) -> Tally:
    """pytest over tests/, or with the given arguments."""
    report = DEV / "pytest.xml"
    report.unlink(missing_ok=True)
    chosen = arguments or [*BESIDE, "tests"]
    code = call([venv.python(), "-m", "pytest", f"--junitxml={report}", *chosen], env, ROOT)
    tally = read_report(report) if report.exists() else Tally()
    # 5 is "nothing collected"; any other code must show in the counts.
    if code not in (0, 5) and tally.failed == 0:
        print(f"pytest ended with code {code}", file=sys.stderr)
        tally.failed = 1
    return tally


def read_report(report: Path) -> Tally:
    """The counts in a junit file."""
    tally = Tally()
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            tally.failed += 1
        elif skipped is not None:
            tally.skipped += 1
            if not skipped.get("message", "").startswith(MACHINE):
                tally.unexcused.append(f"{case.get('classname')}::{case.get('name')}")
        else:
            tally.passed += 1
    return tally
