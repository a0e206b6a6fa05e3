"""The engine's loop: waiting, stopping, timers, signals, exceptions, threads."""

from __future__ import annotations

import gc
import itertools
import signal
import subprocess
import sys
import threading
import time
import traceback
import weakref
from pathlib import Path
from typing import Any

import pytest
from sdk.conftest import Start
from support.processes import PATIENCE, eventually
from support.scripted import Link, scripted

import pyalgo
from pyalgo import Engine, OrderType, Side, SmartOrder, WrongThread


def turns_in(interval: float, seconds: float) -> int:
    """Turns of an idle engine in so many seconds."""
    eng = Engine(interval)
    eng.after(seconds, eng.stop)
    eng.run()
    return eng.turns


def test_row_004_38_the_interval_is_the_longest_sleep() -> None:

    def as_they_should() -> bool:
        """Not while the machine stands still: then there are fewer."""
        slow, fast = turns_in(0.01, 0.3), turns_in(0, 0.3)
        assert slow <= 60
        return slow >= 10 and fast > 10 * slow

    eventually(as_they_should, "turns")
    assert Engine().interval == 0.001
    for bad in (-1, -0.0001, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="interval"):
            Engine(bad)


def test_it_wakes_at_once_on_data(start: Start) -> None:
    """With an interval of a minute, data still arrives without delay."""
    sent: list[float] = []
    seen: list[float] = []
    more, over = threading.Semaphore(0), threading.Event()

    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        for number in itertools.count(1):
            assert more.acquire(timeout=PATIENCE)
            if over.is_set():
                break
            sent.append(time.perf_counter())
            link.depth(number, "0.19999", "0.20001")
        link.serve()

    play = start(script, interval=60)
    sub = play.depth()

    def usual() -> float:
        """The median of the last twenty."""
        return sorted(b - a for a, b in zip(sent[-20:], seen[-20:], strict=True))[10]

    def on_data(_: Any) -> None:
        seen.append(time.perf_counter())
        # A busy machine is late for a while; an engine that sleeps is late each time.
        if len(seen) >= 20 and usual() < 0.02:
            play.eng.stop()
        else:
            more.release()

    sub.on_data = on_data
    late = play.eng.after(PATIENCE, play.eng.stop)
    more.release()
    play.eng.run()
    late.cancel()
    over.set()
    more.release()
    assert len(seen) >= 20 and usual() < 0.02, usual()


def test_row_004_39_a_turn_without_data_does_not_wait(start: Start) -> None:
    play = start(lambda link: (link.accept(), link.serve()), interval=1)
    best = 1.0
    for _ in range(50):
        begin = time.perf_counter()
        assert play.eng.process() == 0
        best = min(best, time.perf_counter() - begin)
    assert best < 0.001


@pytest.mark.parametrize("name", ["run", "start"])
def test_stop_ends_run_from_any_thread(name: str) -> None:
    eng = Engine(60)
    threading.Timer(0.1, eng.stop).start()
    begin = time.perf_counter()
    getattr(eng, name)()
    assert time.perf_counter() - begin < 50, "it slept for the whole interval"


def test_stop_before_run_and_run_again() -> None:
    eng = Engine()
    eng.stop()
    eng.run()
    eng.after(0.01, eng.stop)
    eng.run()


def test_timers_follow_the_engines_clock() -> None:
    eventually(beats_evenly, "a run in which the machine keeps time")
    eng = Engine()
    before = time.time_ns()
    now = eng.now()
    assert before - 1_000_000_000 < now < time.time_ns() + 1_000_000_000
    for bad in (-1, float("nan")):
        with pytest.raises(ValueError, match="seconds"):
            eng.every(bad, eng.stop)


def beats_evenly() -> bool:
    """What has to come does, not too early, and once; and what comes again and again did so evenly."""
    eng = Engine()
    log: list[tuple[str, int]] = []
    begin = eng.now()
    eng.after(0.05, lambda: log.append(("after", eng.now())))
    beat = eng.every(0.02, lambda: log.append(("every", eng.now())))
    never = eng.after(0.01, lambda: log.append(("never", 0)))
    never.cancel()
    never.cancel()
    eng.after(0.11, beat.cancel)
    eng.after(0.2, eng.stop)
    eng.run()
    beats = [when for what, when in log if what == "every"]
    after = [when for what, when in log if what == "after"]
    assert len(after) == 1
    assert after[0] - begin >= 50_000_000
    assert not any(what == "never" for what, _ in log)
    return 2 <= len(beats) <= 5 and all(b - a > 5_000_000 for a, b in itertools.pairwise(beats))


def test_missed_beats_are_not_made_up_for() -> None:
    eng = Engine()
    beats: list[int] = []

    def slow() -> None:
        beats.append(eng.now())
        if len(beats) == 1:
            time.sleep(0.1)

    eng.after(0.15, eng.stop)
    eng.every(0.01, slow)
    eng.run()
    assert len(beats) <= 8


def test_an_exception_of_a_callback_comes_out_with_its_traceback(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        link.depth(1, "0.19999", "0.20001")
        link.serve()

    play = start(script)

    def faulty_callback(_: Any) -> None:
        raise KeyError("mine")

    play.depth().on_data = faulty_callback
    with pytest.raises(KeyError, match="mine") as caught:
        play.eng.run()
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "faulty_callback"


def test_what_raised_is_not_acknowledged(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        call = link.next("order")
        link.ordinary(call)
        link.order(1, call, "NEW")
        link.order(2, call, "CANCELED")
        link.serve()

    play = start(script)
    sub = play.depth()

    def on_order(order: Any) -> None:
        if order.state == "CANCELED":
            raise RuntimeError("no")

    sub.on_order = on_order
    SmartOrder(sub).send(0.2, 10, Side.BUY, OrderType.LIMIT)
    with pytest.raises(RuntimeError, match="no"):
        play.eng.run()
    assert play.session.cursor == (1, 1)
    play.session.close()
    play.gateway.stop()
    assert play.gateway.links[0].acks == [{"gen": 1, "seq": 1}]


def test_other_threads_are_refused(start: Start) -> None:
    play = start(lambda link: (link.accept(), link.serve()))
    sub = play.depth()
    order = SmartOrder(sub)
    uses = [
        lambda: sub.net,
        lambda: sub.tick_size,
        lambda: order.is_active,
        lambda: order.send(0.2, 10, Side.BUY, OrderType.LIMIT),
        lambda: play.session.orders,
        lambda: play.session.balances(),
        lambda: play.session.subscribe("dogeusdt", "bbo"),
        lambda: play.session.close(),
        lambda: play.eng.every(1, print),
        lambda: play.eng.process(),
        lambda: play.eng.make_session(addr=play.gateway.address, session_id=2),
    ]
    caught: list[BaseException] = []

    def foreign() -> None:
        for use in uses:
            try:
                use()
            except WrongThread as error:
                caught.append(error)

    thread = threading.Thread(target=foreign)
    thread.start()
    thread.join()
    assert len(caught) == len(uses)
    assert all(isinstance(error, RuntimeError) for error in caught)
    assert sub.net == 0.0


def test_an_engine_may_run_in_another_thread(start: Start) -> None:
    play = start(lambda link: (link.accept(), link.serve()))
    sub = play.depth()
    seen: list[float] = []
    running = threading.Event()
    play.eng.after(0, lambda: (seen.append(sub.net), running.set()))
    thread = threading.Thread(target=play.eng.run)
    thread.start()
    assert running.wait(PATIENCE)
    with pytest.raises(WrongThread):
        _ = sub.net
    play.eng.stop()
    thread.join(PATIENCE)
    assert seen == [0.0]
    assert sub.net == 0.0, "it is ours again"


def test_run_within_run_is_refused() -> None:
    eng = Engine()
    caught: list[Exception] = []

    def again() -> None:
        for call in (eng.run, eng.process):
            try:
                call()
            except pyalgo.Misuse as error:
                caught.append(error)
        eng.stop()

    eng.after(0, again)
    eng.run()
    assert len(caught) == 2


def test_a_request_in_a_callback_waits_for_its_own_reply_only(start: Start) -> None:
    """What arrives meanwhile is handled afterwards, in order, never within the callback."""

    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        link.depth(1, "0.19999", "0.20001")
        call = link.next("order")
        link.ordinary(call)
        history = link.next("history")
        link.order(1, call, "NEW")
        link.depth(2, "0.2", "0.20001")
        link.order(2, call, "CANCELED")
        link.result(history, [])
        link.serve()

    play = start(script)
    sub = play.depth()
    order = SmartOrder(sub)
    log: list[str] = []

    def on_data(depth: Any) -> None:
        log.append(f"depth {depth.update_id} begins")
        if depth.update_id == 1:
            order.send(0.2, 10, Side.BUY, OrderType.LIMIT)
            assert play.session.history("dogeusdt", "1m", 10) == []
        log.append(f"depth {depth.update_id} ends")

    sub.on_data = on_data
    sub.on_order = lambda told: log.append(told.state)
    play.run_until(lambda: len(log) == 6)
    assert log == ["depth 1 begins", "depth 1 ends", "NEW", "CANCELED", "depth 2 begins", "depth 2 ends"]


SCRIPT = """
import sys, time
from pyalgo import *
address, token, what = sys.argv[1:]
eng = Engine(0.001)
session = eng.make_session(addr=address, session_id=1, name="test", trading=True, token_file=token)
sub = session.subscribe("dogeusdt", "depth")
def on_data(depth):
    print("data", flush=True)
    if what == "in a callback":
        time.sleep(0.5)
        print("callback done", flush=True)
    if what == "stuck":
        while True:
            time.sleep(0.01)
sub.on_data = on_data
eng.start() if what == "start" else eng.run()
print("returned", session.state, flush=True)
"""


def ask_until_it_ends(strategy: subprocess.Popen[str], number: signal.Signals) -> None:
    """Two signals before a busy process gets round to the first are one to it."""
    for _ in range(5):
        strategy.send_signal(number)
        try:
            strategy.wait(PATIENCE / 5)
        except subprocess.TimeoutExpired:
            continue
        return


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("what", ["idle", "start", "in a callback", "stuck"])
def test_row_004_41_signals_end_it_in_order(tmp_path: Path, number: signal.Signals, what: str) -> None:
    left = threading.Event()

    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        link.depth(1, "0.19999", "0.20001")
        try:
            link.serve()
        finally:
            left.set()

    with scripted(tmp_path, script) as gateway:
        command = [sys.executable, "-c", SCRIPT, gateway.address, str(gateway.token_file), what]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as strategy:
            assert strategy.stdout is not None
            assert strategy.stdout.readline() == "data\n"
            strategy.send_signal(number)
            if what == "stuck":
                # The first one asks; a callback that never returns needs a second one.
                with pytest.raises(subprocess.TimeoutExpired):
                    strategy.wait(0.5)
                ask_until_it_ends(strategy, number)
            rest, _ = strategy.communicate(timeout=PATIENCE)
            assert strategy.returncode == 0
        assert rest == ("callback done\n" if what == "in a callback" else "") + "returned down\n"
        assert left.wait(PATIENCE)
    code = gateway.links[0].socket.close_code
    assert code == 1000, "it left without a word"


def test_a_handler_of_the_strategys_own_is_left_alone() -> None:
    eng = Engine()
    calls: list[int] = []

    def mine(number: int, _: Any) -> None:
        calls.append(number)
        eng.stop()

    before = signal.signal(signal.SIGTERM, mine)
    try:
        eng.after(0.01, lambda: signal.raise_signal(signal.SIGTERM))
        eng.run()
        assert calls == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is mine
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


class Littering:
    """Makes garbage in callbacks, and sees which collections fall into one."""

    def __init__(self, rounds: int = 30) -> None:
        self.rounds = rounds
        self.inside = False
        self.within: list[int] = []
        self.between: list[int] = []
        self.switched: set[bool] = set()
        self.aside: set[bool] = set()
        self.made: list[weakref.ref[Littering.Ring]] = []

    class Ring:
        """Holds itself: only the collector finds it."""

        def __init__(self) -> None:
            self.me = self

    def seen(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            (self.within if self.inside else self.between).append(info["generation"])

    def litter(self) -> None:
        self.inside = True
        self.switched.add(gc.isenabled())
        self.aside.add(gc.get_freeze_count() > 0)
        self.made += [weakref.ref(self.Ring()) for _ in range(gc.get_threshold()[0] * 2)]
        self.rounds -= 1
        self.inside = False
        if self.rounds == 0:
            self.engine.stop()

    def run(self, engine: Engine) -> None:
        self.engine = engine
        engine.every(0.001, self.litter)
        gc.collect()
        gc.callbacks.append(self.seen)
        try:
            engine.run()
        finally:
            gc.callbacks.remove(self.seen)


def test_garbage_is_collected_between_callbacks() -> None:
    littering = Littering()
    littering.run(Engine())
    assert not littering.within
    assert littering.between[0] == 2, "what is there is looked through once"
    assert 0 in littering.between[1:]
    assert 1 in littering.between[1:], "older garbage, too"
    assert 2 not in littering.between[1:], "but nothing takes a moment's pause for a full one"
    assert sum(ring() is not None for ring in littering.made) < len(littering.made) / 5
    assert littering.switched == {False}
    assert littering.aside == {True}
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_run_right_after_another_does_not_look_through_everything_again() -> None:
    eng = Engine()
    Littering().run(eng)
    again = Littering()
    again.run(eng)
    assert 2 not in again.between


def test_garbage_may_be_left_to_python() -> None:
    littering = Littering()
    littering.run(Engine(collect="python"))
    assert littering.within
    assert littering.switched == {True}
    assert littering.aside == {False}


def test_a_collector_that_is_off_stays_off_and_what_is_set_aside_stays_aside() -> None:
    gc.disable()
    try:
        littering = Littering()
        littering.run(Engine())
        assert not littering.within
        assert not littering.between
        assert not gc.isenabled()
        assert littering.aside == {False}
    finally:
        gc.enable()
    gc.freeze()
    try:
        Littering().run(Engine())
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_the_collector_comes_back_after_an_exception() -> None:
    eng = Engine()
    eng.after(0, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        eng.run()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_who_collects_is_one_of_two_words() -> None:
    assert Engine().collect == "idle"
    with pytest.raises(ValueError, match="idle"):
        Engine(collect="never")  # type: ignore[arg-type]
