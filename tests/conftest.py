"""Fixtures of every Python test."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, Protocol

import pytest
from support import canary
from support.system import System

# A job in the background of a shell starts with the interrupt ignored, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


class MachineLacks(Protocol):
    """Skips the test that asks."""

    def __call__(self, what: str) -> NoReturn: ...


@pytest.fixture
def machine_lacks() -> MachineLacks:
    """Skips a test that this machine cannot run: `machine_lacks("no IPv6 loopback")`.

    The one excuse for a skip where CI=true; any other skip counts as a failure there.
    """

    def skip(what: str) -> NoReturn:
        reason = f"this machine: {what}"
        print(reason)
        pytest.skip(reason)

    return skip


@pytest.fixture(scope="session", autouse=True)
def no_secret_in_what_the_run_leaves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Searches everything that the tests of this process have written, once the last of them is over."""
    with canary.watched(tmp_path_factory.getbasetemp()):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Shows what the real parts said when a test that uses them fails; keeps what is shown."""
    report = yield
    canary.keep_said(f"{report.capstdout}{report.capstderr}{report.longreprtext}")
    system = getattr(item, "funcargs", {}).get("system")
    if report.when == "call" and report.failed and isinstance(system, System):
        report.sections.append(("logs of the parts", system.logs()))
    return report


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """The simulated exchange and the real gateway at it, which leave no secret behind."""
    parts = System(tmp_path)
    yield parts
    parts.stop()
    assert parts.leaks() == []
