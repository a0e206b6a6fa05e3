"""A strategy's side of a scripted gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.processes import PATIENCE
from support.scripted import Script, scripted
from support.system import System

from pyalgo import DepthSubscription, Engine, Session


@dataclass
class Play:
    """A gateway that follows a script, and a session at it."""

    gateway: Any
    eng: Engine
    session: Session
    told: list[Any] = field(default_factory=list)

    def depth(self, symbol: str = "dogeusdt") -> DepthSubscription:
        """A depth subscription."""
        return self.session.subscribe(symbol, "depth")

    def run_until(self, done: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Runs the engine until something holds."""
        until = self.eng.now() + int(seconds * 1e9)
        checks = self.eng.every(0.0005, lambda: done() and self.eng.stop())
        late = self.eng.after(seconds, self.eng.stop)
        self.eng.run()
        checks.cancel()
        late.cancel()
        assert self.eng.now() < until and done(), "it did not happen in time"


Start = Callable[..., Play]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a gateway with a script and logs a session in: `start(script, trading=False)`."""
    with ExitStack() as stack:

        def begin(script: Script, session_id: int = 1, interval: float = 0.001, **options: Any) -> Play:
            gateway = stack.enter_context(scripted(tmp_path, script))
            eng = Engine(interval)
            stack.callback(eng.close)
            arguments = {"name": "test", "trading": True, "token_file": gateway.token_file} | options
            session = eng.make_session(addr=gateway.address, session_id=session_id, **arguments)
            return Play(gateway, eng, session)

        yield begin


Connect = Callable[..., Play]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Logs a session in at the real gateway: `connect(system, session_id=2)`."""
    with ExitStack() as stack:

        def begin(system: System, session_id: int = 1, interval: float = 0.001, **options: Any) -> Play:
            eng = Engine(interval)
            stack.callback(eng.close)
            arguments = {"name": "test", "trading": True, "token_file": system.token_file} | options
            session = eng.make_session(addr=system.address, session_id=session_id, **arguments)
            return Play(system, eng, session)

        yield begin
