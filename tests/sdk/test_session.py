"""Getting in, staying in, coming back; and gateways that are gone, busy, wrong or malicious."""

from __future__ import annotations

import itertools
import logging
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sdk.conftest import Start
from support.processes import PATIENCE, eventually, free_port
from support.scripted import Frame, Gone, Link, scripted

from pyalgo import (
    BadProof,
    Busy,
    ConnectError,
    Disconnected,
    DuplicateLogin,
    Engine,
    Error,
    InvalidSession,
    LoginError,
    OrderState,
    OrderType,
    ProtocolError,
    RequestTimeout,
    SessionClosed,
    Side,
    SmartOrder,
    TakenOver,
    VersionMismatch,
)  # fmt: skip


def test_no_gateway_says_what_to_do() -> None:
    address = f"ws://localhost:{free_port()}"
    with pytest.raises(ConnectError) as caught:
        Engine().make_session(addr=address, session_id=1, name="test", trading=True)
    assert str(caught.value).startswith(f"no gateway at {address} — start one with `spot -c spot.json` (")
    assert caught.value.code == -40001
    assert isinstance(caught.value, ConnectionError)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("localhost:8111", "does not begin with ws://"), ("ws://localhost", "no port"),
        ("ws://:8111", "host"),
        ("ws://localhost:x", "port is no number"), ("wss://localhost", "no port"), ("unix:here", "absolute"),
        ("", "ws://localhost:8111"), ("ws://localhost:0", "port"), ("ws://localhost:99999", "port"),
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_named(address: str, words: str) -> None:
    with pytest.raises(ConnectError, match=words):
        Engine().make_session(addr=address, session_id=1)


@pytest.mark.parametrize("session_id", [-1, 65536, 10**12, "1", 1.5, None])
def test_row_004_52_session_numbers_have_bounds(session_id: Any) -> None:
    with pytest.raises(InvalidSession) as caught:
        Engine().make_session(addr="ws://localhost:1", session_id=session_id)
    assert caught.value.code == -10010


@pytest.mark.parametrize("session_id", [0, 65535])
def test_row_004_13_the_login_carries_who_it_is(start: Start, session_id: int) -> None:
    play = start(
        lambda link: (link.accept(), link.serve()), session_id=session_id, name="Ünïcode", trading=False
    )
    login = play.gateway.links[0].login
    assert (login["session_id"], login["name"], login["trading"]) == (session_id, "Ünïcode", False)
    assert (play.session.session_id, play.session.name, play.session.trading) == (
        session_id,
        "Ünïcode",
        False,
    )
    assert play.session.state == "ready"
    assert repr(play.session).startswith(f"Session({session_id}, ")
    assert play.eng.sessions == [play.session]


def test_row_004_14_a_second_login_is_refused_with_the_holder(start: Start) -> None:
    def script(link: Link) -> None:
        link.error(link.greet(), -10002, "duplicate_login", 'session 1 is held by "other"; take_over=True')

    with pytest.raises(DuplicateLogin, match='held by "other"') as caught:
        start(script)
    assert isinstance(caught.value, LoginError)


def test_a_notebook_cell_may_be_run_again(tmp_path: Path) -> None:
    """A forgotten session of the same process is collected and closed when its number is asked for again."""
    held = threading.Event()

    def script(link: Link) -> None:
        login = link.greet()
        if held.is_set():
            link.error(login, -10002, "duplicate_login", "held")
            return
        held.set()
        link.let_in(login)
        link.send(event="snapshot", gen=1, seq=0, time=1, orders=[], positions=[])
        try:
            link.serve()
        except Gone:
            held.clear()

    def cell() -> None:
        eng = Engine()
        session = eng.make_session(addr=gateway.address, session_id=1, token_file=gateway.token_file)
        sub = session.subscribe("dogeusdt", "depth")
        # A cycle, as every strategy makes one.
        sub.on_data = lambda _: sub

    with scripted(tmp_path, script) as gateway:

        def again() -> bool:
            try:
                cell()
            except DuplicateLogin:
                # Its goodbye is on the way.
                return False
            return True

        cell()
        eventually(again, "the forgotten session to be closed")


def test_take_over_is_asked_for_once(start: Start) -> None:
    logins: list[Frame] = []

    def script(link: Link) -> None:
        link.accept(resume="events" if logins else "snapshot")
        logins.append(link.login)
        if len(logins) == 1:
            link.close(1001, "restart")
        else:
            link.serve()

    play = start(script, take_over=True)
    play.run_until(lambda: len(logins) == 2 and play.session.state == "ready")
    assert [login["take_over"] for login in logins] == [True, False]


def test_a_gateway_that_does_not_know_the_token_is_refused(start: Start) -> None:
    """Nothing but the nonce is shown to it."""
    seen: list[Frame] = []

    def script(link: Link) -> None:
        hello = link.next("hello")
        seen.append(hello)
        welcome = {"version": 1, "market": "spot", "gateway": "evil", "nonce": "00" * 16, "proof": "11" * 32}
        link.result(hello, welcome)
        seen.append(link.receive())

    with pytest.raises(BadProof, match="something else listens") as caught:
        start(script)
    assert caught.value.code == -10006
    assert len(seen) == 1
    assert set(seen[0]["params"]) == {"version", "nonce", "session_id"}


def test_a_token_that_cannot_be_read_is_named(start: Start, tmp_path: Path) -> None:
    with pytest.raises(BadProof, match=r"nowhere.*cannot be read.*give the file"):
        start(lambda link: link.serve(), token_file=tmp_path / "nowhere")


def test_the_token_is_found_where_the_gateway_puts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(tmp_path, lambda link: (link.accept(), link.serve())) as gateway:
        port = gateway.port
        monkeypatch.delenv("TRADINGSYS_TOKEN_FILE", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
        with pytest.raises(BadProof, match=r"token was not found.*run.*home"):
            Engine().make_session(addr=gateway.address, session_id=1)
        for place in (f"home/.tradingsys/{port}.token", f"run/tradingsys/{port}.token"):
            file = tmp_path / place
            file.parent.mkdir(parents=True)
            file.write_text(gateway.token_file.read_text())
            with Engine().make_session(addr=gateway.address, session_id=1) as session:
                assert session.state == "ready"
            file.unlink()
        monkeypatch.setenv("TRADINGSYS_TOKEN_FILE", str(gateway.token_file))
        with Engine().make_session(addr=gateway.address, session_id=1) as session:
            assert session.state == "ready"


def test_other_versions_are_refused(start: Start) -> None:
    def script(link: Link) -> None:
        link.error(link.next("hello"), -10007, "version_mismatch", "this gateway speaks version 2")

    with pytest.raises(VersionMismatch, match="version 2"):
        start(script)


def test_what_listens_there_may_be_anything(tmp_path: Path) -> None:
    """Another server, one that hangs up, one that refuses: an error that says so, never a hang."""
    answers = {
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n": "HTTP 403",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n": "no websocket",
        b"": "no websocket",
    }
    for answer, words in answers.items():
        with socket.create_server(("127.0.0.1", 0)) as server:

            def serve(server: socket.socket = server, answer: bytes = answer) -> None:
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

            thread = threading.Thread(target=serve)
            thread.start()
            address = f"ws://127.0.0.1:{server.getsockname()[1]}"
            with pytest.raises(ConnectError, match=words):
                Engine().make_session(addr=address, session_id=1)
            thread.join()


def test_it_waits_until_orders_are_taken(start: Start) -> None:
    """A gateway that has just been started compares its books first; the strategy need not know."""

    def script(link: Link) -> None:
        state = {"event": "state", "state": "recovering", "reason": "comparing the books"}
        link.accept(state=state)
        time.sleep(0.05)
        link.send(event="state", state="ready")
        link.serve()

    play = start(script)
    assert play.session.state == "ready"
    states: list[str] = []
    play.session.on_state = lambda told: states.append(told.state)
    play.eng.after(0.05, play.eng.stop)
    play.eng.run()
    assert states == [], "what was so at the beginning is no change"


def test_it_does_not_wait_forever(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    def script(link: Link) -> None:
        link.accept(state={"event": "state", "state": "down", "reason": "the exchange is unreachable"})
        link.serve()

    with caplog.at_level(logging.INFO, logger="pyalgo"):
        play = start(script, wait=0.1)
    assert play.session.state == "down"
    assert 'session 1 "test" is logged in and down: the exchange is unreachable' in caplog.text


def test_states_are_told(start: Start) -> None:
    go = threading.Event()

    def script(link: Link) -> None:
        link.accept()
        assert go.wait(PATIENCE)
        link.send(event="state", state="down", reason="the order link is down")
        link.send(event="state", state="recovering")
        link.send(event="state", state="ready", not_ready=["solusdt"])
        link.send(
            gen=1, seq=1, time=1, event="notice", code="resurrected", message="turned up", symbol="dogeusdt"
        )
        link.serve()

    play = start(script)
    told: list[Any] = []
    play.session.on_state = lambda state: told.append((state.state, state.reason, state.not_ready))
    play.session.on_notice = lambda notice: told.append((notice.code, notice.symbol, notice.order_id))
    go.set()
    play.run_until(lambda: len(told) == 4)
    assert told == [
        ("down", "the order link is down", []), ("recovering", "", []), ("ready", "", ["solusdt"]),
        ("resurrected", "dogeusdt", None),
    ]  # fmt: skip


def test_it_comes_back_and_misses_nothing(start: Start) -> None:
    """The connection is lost three times, with events in flight; each event is told once, in order."""
    calls: list[Frame] = []

    def script(link: Link) -> None:
        if link.number == 0:
            link.accept()
            link.ordinary(link.next("subscribe"))
            call = link.next("order")
            calls.append(call)
            link.ordinary(call)
            link.order(1, call, "NEW")
            link.close(1001, "the gateway is stopping")
            return
        last = link.number * 2 + 1
        link.accept(resume="events", last={"gen": 1, "seq": last}, epoch=1000 + link.number)
        link.epoch = 1000
        after = link.login["cursor"]["seq"]
        # Sent again from one before the cursor on: what it has seen it must pass over.
        for seq in range(max(after - 1, 1), last + 1):
            link.fill(seq, calls[0], "1", str(seq), "PARTIALLY_FILLED")
        subscribe = link.next("subscribe")
        assert subscribe["params"]["streams"] == ["dogeusdt@depth"]
        link.epoch = 1000 + link.number
        link.ordinary(subscribe)
        if link.number == 1:
            link.abort()
        elif link.number == 2:
            link.close(4002, "too slow")
        else:
            link.depth(9, "0.1", "0.2")
            link.serve()

    play = start(script)
    sub = play.depth()
    order = SmartOrder(sub)
    seqs: list[int] = []
    states: list[str] = []
    books: list[Any] = []
    sub.on_order = lambda told: seqs.append(told.cursor[1])
    sub.on_data = books.append
    play.session.on_state = lambda told: states.append(told.state)
    order.send(0.2, 10, Side.BUY, OrderType.LIMIT)
    play.run_until(lambda: books)
    assert seqs == [1, 2, 3, 4, 5, 6, 7]
    assert states == ["down", "ready"] * 3
    assert sub.net == 7.0
    assert order.send(0.2, 10, Side.BUY, OrderType.LIMIT) is False, "it is still the same order"


def test_a_command_in_flight_is_in_doubt_until_the_gateway_tells(start: Start) -> None:
    listed: list[Any] = []

    def script(link: Link) -> None:
        if link.number == 0:
            link.accept()
            link.next("order")
            link.close(1001, "bye")
            return
        login = link.greet()
        listed.append(login["params"]["pending"])
        (pending,) = login["params"]["pending"]
        call = {"params": pending["params"]}
        link.let_in(login, resume="events", answers=[None], epoch=1001)
        link.epoch = pending["epoch"]
        link.order(1, call, "FILLED", "10")
        link.serve()

    play = start(script)
    sub = play.depth()
    order = SmartOrder(sub)
    states: list[Any] = []
    sub.on_order = lambda told: states.append((told.state, order.state, order.is_active))
    order.send(0.2, 10, Side.BUY, OrderType.LIMIT)
    play.run_until(lambda: len(states) == 2)
    assert states == [
        (OrderState.UNKNOWN, OrderState.UNKNOWN, True),
        (OrderState.FILLED, OrderState.FILLED, False),
    ]
    params = {
        "n": 1,
        "symbol": "dogeusdt",
        "side": "BUY",
        "type": "LIMIT",
        "tif": "GTC",
        "price": "0.2",
        "qty": "10",
    }
    assert listed == [[{"epoch": 1000, "method": "order", "params": params}]]


def test_row_004_62_while_away_orders_are_refused_at_once(start: Start) -> None:
    gone = threading.Event()

    def script(link: Link) -> None:
        if link.number:
            # Not let in again until the test is over.
            gone.wait(PATIENCE)
            return
        link.accept()
        link.ordinary(link.next("subscribe"))
        link.close(1001, "bye")

    play = start(script)
    order = SmartOrder(play.depth())
    play.run_until(lambda: play.session.state == "down")
    took = []
    for _ in range(20):
        begin = time.perf_counter()
        assert order.send(0.2, 10, Side.BUY, OrderType.LIMIT) is False
        took.append(time.perf_counter() - begin)
    assert min(took) < 0.1, "it waits for nothing; only the machine may make it"
    assert (order.code, order.state, order.is_active) == (-30002, None, False)
    assert "no connection to the gateway" in order.reason
    for ask in (play.session.balances, play.session.cancel_all, lambda: play.session.history("x", "1m", 1)):
        with pytest.raises(Disconnected):
            ask()
    gone.set()


def test_a_reply_that_never_comes_times_out(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.next("balances")
        link.serve()

    play = start(script)
    begin = time.perf_counter()
    with pytest.raises(RequestTimeout):
        play.session.balances()
    assert 9 < time.perf_counter() - begin < 60
    assert play.session.history("dogeusdt", "1m", 1) == [], "the session goes on"


def test_a_question_on_a_lost_connection_fails(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.next("balances")
        link.close(1001, "bye")

    play = start(script)
    with pytest.raises(Disconnected):
        play.session.balances()


def test_being_taken_over_ends_the_session(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        link.close(4001, "session 1 was taken over")

    play = start(script)
    sub = play.depth()
    order = SmartOrder(sub)
    with pytest.raises(TakenOver) as caught:
        play.eng.run()
    assert caught.value.code == -10011
    assert len(play.gateway.links) == 1, "it does not fight for the session"
    assert order.send(0.2, 10, Side.BUY, OrderType.LIMIT) is False
    assert order.code == -40006


def test_errors_of_no_call_go_to_on_error(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        link.close(4001, "taken over")

    play = start(script)
    errors: list[Error] = []
    play.session.on_error = errors.append
    # Nothing is left to run for.
    play.eng.run()
    assert [type(error) for error in errors] == [TakenOver]


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "\x00", '{"gen":1,"seq":1,"event":"order","time":1}', '{"id":"x"}',
        '{"gen":1,"seq":5,"event":"notice","time":1,"code":"a","message":"b"}',
        '{"event":"state","state":"asleep"}', '{"event":"snapshot","gen":1}', '{"id":1e99}',
        '{"stream":"dogeusdt@trade","data":{"id":-1}}',
        '{"gen":18446744073709551616,"seq":1,"event":"order"}',
        '{"stream":"dogeusdt@depth","data":{"time":1,"update_id":1,"bids":[["x","1"]],"asks":[]}}',
        '{"stream":"dogeusdt@depth","data":{"time":1,"update_id":1,"bids":[["1e999","1"]],"asks":[]}}',
    ],
)  # fmt: skip
def test_a_gateway_that_talks_nonsense_is_named_not_obeyed(start: Start, text: str) -> None:
    go = threading.Event()

    def script(link: Link) -> None:
        link.accept(resume="events" if link.number else "snapshot")
        if link.number == 0:
            for _ in range(2):
                link.ordinary(link.next("subscribe"))
            assert go.wait(PATIENCE)
            link.send_text(text)
        link.serve()

    play = start(script)
    subs = [play.session.subscribe("dogeusdt", stream) for stream in ("depth", "trade")]
    errors: list[Error] = []
    play.session.on_error = errors.append
    go.set()
    play.run_until(lambda: errors)
    assert isinstance(errors[0], ProtocolError)
    assert errors[0].code == -40004
    assert all(sub.time == 0 for sub in subs)
    play.run_until(lambda: play.session.state == "ready")


def test_without_on_error_nonsense_ends_the_loop(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept(resume="events" if link.number else "snapshot")
        if link.number == 0:
            link.send_text("nonsense")
        link.serve()

    with pytest.raises(ProtocolError, match="cannot be read"):
        start(script).eng.run()


def test_a_gateway_that_does_not_read_is_noticed(start: Start) -> None:
    """A full socket refuses; the strategy is never blocked."""
    over = threading.Event()

    def script(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        over.wait(PATIENCE)

    play = start(script)
    sub = play.depth()
    orders = [SmartOrder(sub, adopt=False) for _ in range(5000)]
    begin = time.perf_counter()
    sent = [order.send(0.2, 10, Side.BUY, OrderType.LIMIT) for order in orders]
    assert time.perf_counter() - begin < PATIENCE / 2, "longer than nobody reads"
    over.set()
    assert sent[0] is True
    assert sent[-1] is False
    assert orders[-1].code == Busy.code
    assert sorted(sent, reverse=True) == sent


def test_one_gateways_silence_does_not_delay_another(start: Start, tmp_path: Path) -> None:
    """A session that is lost and whose gateway hangs in the handshake leaves the others alone."""
    hang, over, more = threading.Event(), threading.Event(), threading.Semaphore(0)

    def lost(link: Link) -> None:
        if link.number == 0:
            link.accept()
            link.close(1001, "bye")
        hang.wait(PATIENCE)

    def good(link: Link) -> None:
        link.accept()
        link.ordinary(link.next("subscribe"))
        for turn in itertools.count():
            assert more.acquire(timeout=PATIENCE)
            if over.is_set():
                break
            for number in range(100 * turn + 1, 100 * turn + 101):
                link.depth(number, "0.1", "0.2")
                time.sleep(0.002)
        link.serve()

    play = start(good)
    other = tmp_path / "other"
    other.mkdir()
    with scripted(other, lost) as gateway:
        session = play.eng.make_session(addr=gateway.address, session_id=9, token_file=gateway.token_file)
        sub = play.depth()
        states: list[str] = []
        sub.on_data = lambda _: states.append(session.state)

        def undelayed(turn: int) -> bool:
            """A hundred of them: did all come while the other one hung in one handshake?"""
            handshakes = len(gateway.links)
            more.release()
            play.run_until(lambda: sub.depth and sub.depth.update_id == 100 * turn)
            assert set(states) == {"down"}
            return len(gateway.links) == handshakes

        play.run_until(lambda: len(gateway.links) == 2)
        # Ten seconds it may take for a handshake to be given up: a slow machine needs most of them.
        assert any(undelayed(turn) for turn in range(1, 6)), "a handshake was given up each time"
        over.set()
        more.release()
        hang.set()


def test_a_closed_session_says_so(start: Start) -> None:
    play = start(lambda link: (link.accept(), link.serve()))
    sub = play.depth()
    with play.session as session:
        assert session.state == "ready"
    assert play.session.state == "down"
    assert play.eng.sessions == []
    subscribes = (lambda s=s: play.session.subscribe(s, "depth") for s in ("btcusdt", "dogeusdt"))
    for use in (play.session.balances, *subscribes):
        with pytest.raises(SessionClosed):
            use()
    play.eng.run()
    assert sub.symbol == "dogeusdt"


def test_the_strategys_own_cursor_is_used(start: Start) -> None:
    logins: list[Frame] = []

    def script(link: Link) -> None:
        login = link.greet()
        logins.append(login["params"])
        link.let_in(login, resume="events", last={"gen": 1, "seq": 42})
        link.send(gen=1, seq=41, time=1, event="notice", code="old", message="seen", replayed=True)
        link.send(gen=1, seq=42, time=1, event="notice", code="new", message="missed", replayed=True)
        link.serve()

    play = start(script, cursor=(1, 41))
    notices: list[str] = []
    play.session.on_notice = lambda notice: notices.append(notice.code)
    play.run_until(lambda: notices)
    assert logins[0]["cursor"] == {"gen": 1, "seq": 41}
    assert notices == ["new"]
    assert play.session.cursor == (1, 42)
