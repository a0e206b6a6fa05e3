"""Fixtures of every Python test."""

from __future__ import annotations

from typing import NoReturn, Protocol

import pytest


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
