"""One strategy at two gateways, spot and futures: what happens to one is nothing to the other."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.both import Both

from pyalgo import Depth, Engine, OrderState, OrderType, Session, Side, SmartOrder


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    """Both gateways leave their tokens where strategies look."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    parts = Both(tmp_path)
    yield parts
    parts.stop()


@pytest.mark.parametrize("victim", ["spot", "usdt"])
def test_one_gateway_is_killed_and_restarted_and_the_others_callbacks_never_pause(
    both: Both, victim: str
) -> None:
    one, other = (both.gateway, both.usdt) if victim == "spot" else (both.usdt, both.gateway)
    with Engine() as eng:

        def login(address: str) -> Session:
            return eng.make_session(addr=address, session_id=1, name="both", trading=True, wait=30)

        sessions = [login(one.url), login(other.url)]
        subs = [session.subscribe("dogeusdt", "depth:100ms") for session in sessions]
        orders = [SmartOrder(sub) for sub in subs]
        seen: list[float] = []
        states: list[str] = []

        def note(_: Depth) -> None:
            seen.append(time.monotonic())

        subs[1].on_data = note
        sessions[0].on_state = lambda state: states.append(state.state)

        def run_until(done: Callable[[], object], seconds: float = 60) -> None:
            checks = eng.every(0.005, lambda: done() and eng.stop())
            late = eng.after(seconds, eng.stop)
            eng.run()
            checks.cancel()
            late.cancel()
            assert done()

        run_until(lambda: all(sub.ask_level > 0 for sub in subs))
        for order in orders:
            assert order.send(None, 100, Side.BUY, OrderType.MARKET)
        run_until(lambda: all(order.state == OrderState.FILLED for order in orders))
        held = subs[0].net

        seen.clear()
        killed = time.monotonic()
        address = one.url
        one.running.kill()
        run_until(lambda: "down" in states)
        down = len(seen)
        assert orders[0].send(None, 100, Side.BUY, OrderType.MARKET) is False
        assert orders[0].code == -30002
        # The other one goes on trading meanwhile.
        assert orders[1].send(None, 100, Side.BUY, OrderType.MARKET)
        run_until(lambda: orders[1].state == OrderState.FILLED)
        # Two seconds of depth while one is down.
        run_until(lambda: len(seen) > down + 20)
        one.config["local"] = address
        one.write_config()
        # Started by a thread that waits for it: the loop has to go on turning.
        starter = threading.Thread(target=one.start)
        starter.start()
        run_until(lambda: states[-1] == "ready")
        outage = time.monotonic() - killed
        starter.join()
        run_until(lambda: len(seen) > down + 10)
        assert subs[0].net == held
        assert orders[0].send(None, 100, Side.BUY, OrderType.MARKET)
        run_until(lambda: orders[0].state == OrderState.FILLED)
        pauses = [after - before for before, after in itertools.pairwise(seen)]
        # Depth comes every 100 ms; a busy machine may be late, but not by the whole restart of the other.
        assert max(pauses) < outage, f"longest pause {max(pauses):.3f} s of {len(seen)} callbacks"
