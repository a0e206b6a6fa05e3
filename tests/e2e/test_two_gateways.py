"""One strategy at two gateways, spot and futures: what happens to one is nothing to the other."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from support.both import Both
from support.processes import PATIENCE, open_socket
from websockets.exceptions import ConnectionClosed

from pyalgo import Depth, Engine, OrderState, OrderType, Session, Side, SmartOrder, Trade


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    """Both gateways leave their tokens where strategies look."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    parts = Both(tmp_path)
    yield parts
    parts.stop()


class Witness:
    """Hears the exchange's own trades, with no gateway between: what there was to be told, and when."""

    def __init__(self, both: Both, market: str) -> None:
        listening = both.exchange.listening
        base = listening["streams"] if market == "spot" else f"ws://{listening['listening']}/public"
        self.trades: list[int] = []
        self.stack = ExitStack()
        self.socket = open_socket(f"{base}/ws/dogeusdt@trade", self.stack)
        self.thread = threading.Thread(target=self.listen)
        self.thread.start()

    def listen(self) -> None:
        """Until it is closed."""
        try:
            for frame in self.socket:
                self.trades.append(int(json.loads(frame)["t"]))
        except ConnectionClosed:
            pass

    def close(self) -> None:
        """Ends it."""
        self.stack.close()
        self.thread.join()


class Listener:
    """What a strategy is told by one gateway, beside what there was to be told."""

    def __init__(self, session: Session, witness: Witness) -> None:
        self.witness = witness
        self.seen: list[float] = []
        self.trades: list[int] = []
        self.behind: list[int] = []
        self.gaps: list[int] = []
        self.sub = session.subscribe("dogeusdt", "trade")
        self.sub.on_data, self.sub.on_gap = self.hear, self.gaps.append

    def note(self, _: Depth) -> None:
        """Another callback."""
        self.seen.append(time.monotonic())

    def hear(self, trade: Trade) -> None:
        """Another trade, and how many the exchange has already told of after it."""
        self.trades.append(trade.trade_id)
        newest = (self.witness.trades or [trade.trade_id])[-1]
        self.behind.append(newest - trade.trade_id)

    def begin(self) -> int:
        """From now on pauses count; the last trade heard of."""
        self.seen.clear()
        self.behind.clear()
        return self.trades[-1]

    def check(self) -> None:
        """Told of every trade, by their numbers."""
        first, last = self.trades[0], self.trades[-1]
        assert not self.gaps
        assert self.trades == list(range(first, last + 1)), "a trade was missed"
        there_were = {trade for trade in self.witness.trades if first <= trade <= last}
        assert there_were <= set(self.trades)

    def kept_up(self, meanwhile: int, outage: float) -> bool:
        """Never behind by what happened in the other's absence."""
        if meanwhile <= 10:
            print(f"{meanwhile} trades while the other was away are too few to say")
            return False
        pauses = [after - before for before, after in itertools.pairwise(self.seen)]
        # Depth comes every 100 ms; a busy machine may be late, but not by the whole restart of the other.
        print(f"behind by {max(self.behind)} of {meanwhile} trades, longest pause {max(pauses):.3f} s")
        return max(self.behind) < meanwhile / 2 and max(pauses) < outage


@pytest.mark.parametrize("victim", ["spot", "usdt"])
def test_one_gateway_is_killed_and_restarted_and_the_others_callbacks_never_pause(
    both: Both, victim: str
) -> None:
    one, other = (both.gateway, both.usdt) if victim == "spot" else (both.usdt, both.gateway)
    witness = Witness(both, "usdt" if victim == "spot" else "spot")
    with closing(witness), Engine() as eng:

        def login(address: str) -> Session:
            return eng.make_session(addr=address, session_id=1, name="both", trading=True, wait=30)

        sessions = [login(one.url), login(other.url)]
        subs = [session.subscribe("dogeusdt", "depth:100ms") for session in sessions]
        orders = [SmartOrder(sub) for sub in subs]
        states: list[str] = []
        other_one = Listener(sessions[1], witness)
        subs[1].on_data = other_one.note
        sessions[0].on_state = lambda state: states.append(state.state)

        def run_until(done: Callable[[], object], seconds: float = PATIENCE) -> None:
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

        def loses_nothing_by_it() -> bool:
            """The one is killed and started again: was the other one told of everything in time?"""
            held = subs[0].net
            states.clear()
            run_until(lambda: len(other_one.trades) > 5 and witness.trades)
            killed, first = time.monotonic(), other_one.begin()
            one.running.kill()
            run_until(lambda: "down" in states)
            down = len(other_one.seen)
            assert orders[0].send(None, 100, Side.BUY, OrderType.MARKET) is False
            assert orders[0].code == -30002
            # The other one goes on trading meanwhile.
            assert orders[1].send(None, 100, Side.BUY, OrderType.MARKET)
            run_until(lambda: orders[1].state == OrderState.FILLED)
            # Two seconds of depth while one is down.
            run_until(lambda: len(other_one.seen) > down + 20)
            # Started by a thread that waits for it: the loop has to go on turning.
            starter = threading.Thread(target=one.start)
            starter.start()
            run_until(lambda: states[-1] == "ready")
            outage, meanwhile = time.monotonic() - killed, other_one.trades[-1] - first
            starter.join()
            run_until(lambda: len(other_one.seen) > down + 10)
            assert subs[0].net == held
            assert orders[0].send(None, 100, Side.BUY, OrderType.MARKET)
            run_until(lambda: orders[0].state == OrderState.FILLED)
            return other_one.kept_up(meanwhile, outage)

        # Where the machine itself stands still meanwhile, everybody is late: then once more.
        assert any(loses_nothing_by_it() for _ in range(5)), "the other one's callbacks paused each time"
        other_one.check()
