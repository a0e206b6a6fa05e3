"""The local door: who gets in, and what happens to whoever breaks the rules of the house."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from support.processes import PATIENCE, Client, Gateway, Refused, eventually, open_socket
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidMessage, InvalidStatus
from websockets.sync.client import ClientConnection, unix_connect


@pytest.fixture
def running(gateway: Gateway) -> Gateway:
    """The gateway, started, with one web origin allowed."""
    gateway.config["allowed_origins"] = ["https://desk.example"]
    gateway.write_config()
    return gateway.start()


@pytest.fixture
def plain(running: Gateway) -> Iterator[ClientConnection]:
    """A connection that has not said hello."""
    with ExitStack() as stack:
        yield open_socket(running.url, stack)


def closing(connection: ClientConnection) -> tuple[int, str]:
    """How the gateway closes it."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            connection.recv(PATIENCE)
    assert closed.value.rcvd is not None, "with a closing frame"
    return closed.value.rcvd.code, closed.value.rcvd.reason


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://desk.example"])
def test_a_web_page_of_another_origin_is_refused(running: Gateway, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, ExitStack() as stack:
        open_socket(running.url, stack, additional_headers={"Origin": origin})
    assert refused.value.response.status_code == 403
    eventually(lambda: running.logged("handshake_refused"), "a line in the log")


def within_its_time(seconds: float, check: Callable[[], None]) -> bool:
    """Does the check hold? `False`: it took so long that it proves nothing, whether it holds or not."""
    began = time.monotonic()
    try:
        check()
    except AssertionError:
        if time.monotonic() - began < seconds:
            raise
        return False
    return True


def beyond_64_are_closed(running: Gateway) -> None:
    """Connects eighty times, and says nothing."""
    port = int(running.url.rsplit(":", 1)[1])
    with ExitStack() as stack:
        raws = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(80)]
        for raw in raws[64:]:
            raw.settimeout(PATIENCE)
            assert is_closed(raw), "beyond 64"
        for raw in raws[:64]:
            raw.setblocking(False)
            assert not is_closed(raw), "one of the first 64"


def is_closed(raw: socket.socket) -> bool:
    """Has it come to its end, as far as it is waited for?"""
    try:
        return raw.recv(1) == b""
    except (BlockingIOError, TimeoutError):
        return False
    except ConnectionError:
        return True


def test_more_handshakes_than_allowed_are_closed_unheard(running: Gateway) -> None:
    # After three seconds those that say nothing are closed, too: until then it must be seen who is.
    for _ in range(20):
        if within_its_time(3, lambda: beyond_64_are_closed(running)):
            break
    else:
        pytest.fail("it never took less than three seconds")
    assert running.client().seat["session_id"] == 1


def test_connections_without_a_login_are_bounded_and_those_with_one_are_not(running: Gateway) -> None:
    with ExitStack() as stack:
        for session in range(3):
            stack.callback(running.client(session).close)
        for _ in range(20):
            if within_its_time(10, lambda: the_65th_is_refused(running)):
                return
    pytest.fail("it never took less than ten seconds")


def the_65th_is_refused(running: Gateway) -> None:
    """After ten seconds without a login the first ones are closed, and there is room again."""
    with ExitStack() as stack:
        for _ in range(64):
            open_socket(running.url, stack)
        # Whether the refusal is seen as a reset, an end or a broken handshake is a matter of timing.
        refused = False
        try:
            open_socket(running.url, stack)
        except (ConnectionClosedError, InvalidMessage, OSError):
            refused = True
        assert refused, "the 65th"


def test_a_frame_over_64_kib_closes_with_1009(plain: ClientConnection) -> None:
    plain.send(json.dumps({"id": 1, "method": "hello", "params": {"nonce": "a" * 65_600}}))
    assert closing(plain) == (1009, "frames may have 64 KiB")


def test_a_binary_frame_closes_with_1008(plain: ClientConnection) -> None:
    plain.send(b"\x01\x02")
    assert closing(plain) == (1008, "binary frames are not part of the protocol")


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"id":1}', '{"id":1,"method":7}', "x" * 60_000])
def test_a_malformed_frame_is_answered_and_the_session_goes_on(running: Gateway, text: str) -> None:
    client = running.client()
    client.socket.send(text)
    error = client.until(lambda frame: "error" in frame)["error"]
    assert error["name"] in ("bad_request", "unknown_method") and error["code"] < 0 and error["message"]
    assert client.call("time")["time"] > 0


def test_too_many_malformed_frames_close_with_1008(plain: ClientConnection) -> None:
    # Exactly as many as are borne: bytes still unread at the end would turn the closing frame into a reset.
    for _ in range(20):
        plain.send("{")
    assert closing(plain)[0] == 1008


def test_a_connection_without_a_login_is_closed(plain: ClientConnection) -> None:
    assert closing(plain) == (1008, "no login within 10 seconds")


def test_a_second_login_of_a_session_is_refused_by_name(running: Gateway) -> None:
    first = running.client()
    with pytest.raises(Refused) as refused:
        Client(running, 1)
    assert refused.value.error["name"] == "duplicate_login" and "test1" in refused.value.error["message"]
    assert first.call("time")["time"] > 0


def test_row_004_83_strangers_are_kept_from_the_socket(gateway: Gateway) -> None:
    """No address but loopback is bound, and nobody comes in without the token."""
    own = gateway.config["local"]
    for everywhere in ("ws://0.0.0.0:0", "ws://[::]:0"):
        gateway.config["local"] = everywhere
        gateway.write_config()
        refused_start = gateway.run("-c=spot.json")
        assert refused_start.returncode == 78, refused_start.stderr
        assert "not a loopback address" in refused_start.stderr
    gateway.config["local"] = own
    gateway.write_config()
    gateway.start()
    token_file = gateway.folder / str(gateway.config["token_file"])
    assert token_file.stat().st_mode & 0o077 == 0, "others of this machine cannot read it"
    client = gateway.client(1)
    for stranger in ({"proof": "0" * 64}, {"proof": ""}, {"session_id": 9}):
        with pytest.raises(Refused) as refused:
            Client(gateway, 2, **stranger)
        assert refused.value.error["name"] in ("bad_proof", "bad_request")
    assert client.call("time")["time"] > 0


def test_the_unix_socket_serves_and_is_private(gateway: Gateway) -> None:
    path = gateway.folder / "spot.sock"
    gateway.config["unix_socket"] = "spot.sock"
    gateway.write_config()
    gateway.start()
    assert path.stat().st_mode & 0o777 == 0o600
    with unix_connect(str(path), "ws://whatever", compression=None) as connection:
        connection.send(json.dumps({"id": 1, "method": "hello", "params": {"version": 1, "nonce": "a" * 32}}))
        assert json.loads(connection.recv(PATIENCE))["result"]["market"] == "spot"
    gateway.running.kill()
    assert path.exists(), "left behind"
    gateway.start()
    with unix_connect(str(path), "ws://whatever", compression=None):
        pass
    gateway.running.end()
    assert not path.exists()


def test_a_unix_socket_path_with_something_else_is_left_alone(gateway: Gateway) -> None:
    (gateway.folder / "spot.sock").write_text("mine")
    gateway.config["unix_socket"] = "spot.sock"
    gateway.write_config()
    done = gateway.run("-c=spot.json")
    assert done.returncode == 78 and "spot.sock" in done.stderr
    assert (gateway.folder / "spot.sock").read_text() == "mine"
