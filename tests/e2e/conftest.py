"""The three acts of a user, as processes: run the gateway, run strategies, edit pos.db."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.processes import Exchange, Gateway, trading
from support.strategies import StartStrategy, Strategy

HERE = Path(__file__).parent


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[tuple[Exchange, Gateway]]:
    """A lively exchange and a gateway that has not been started."""
    limits = ("--order-limit=100000", "--weight-limit=1000000", "--connection-limit=100000")
    with trading(tmp_path, "--ticks-per-second=20", *limits) as both:
        yield both


@pytest.fixture
def strategy(tmp_path: Path) -> Iterator[StartStrategy]:
    """Starts strategies; none is left behind."""
    with ExitStack() as stack:

        def start(script: str, *arguments: str) -> Strategy:
            environment = {
                "TRADINGSYS_TOKEN_FILE": str(tmp_path / "token"),
                "XDG_RUNTIME_DIR": str(tmp_path),
            }
            process = Strategy(tmp_path, HERE / script, *arguments, environment=environment)
            stack.callback(process.kill)
            return process

        yield start
