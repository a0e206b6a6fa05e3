"""A real exchange and a real gateway for every test of the gateway's shell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import Exchange, Gateway, trading


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Exchange, Gateway]]:
    """An exchange that runs and a gateway that does not yet."""
    with trading(tmp_path) as both:
        yield both


@pytest.fixture
def exchange(pair: tuple[Exchange, Gateway]) -> Exchange:
    """The exchange."""
    return pair[0]


@pytest.fixture
def gateway(pair: tuple[Exchange, Gateway]) -> Gateway:
    """The gateway, not started."""
    return pair[1]
