"""The door as strategies see it: by TLS from elsewhere, with a token of one session, and taken by another."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
from support.certificates import make_certificate
from support.processes import PATIENCE, Gateway, eventually, free_port, open_socket, trading
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.server import ServerConnection, serve

import pyalgo

MachineLacks = Callable[[str], NoReturn]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway at an exchange, not started."""
    with trading(tmp_path) as (_, gateway):
        yield gateway


@pytest.fixture
def far(gateway: Gateway, machine_lacks: MachineLacks) -> Gateway:
    """The gateway, started, at every address by TLS, with a token for session 7."""
    make_certificate(gateway.folder, machine_lacks, "DNS:localhost,IP:127.0.0.1")
    gateway.config |= {
        "local": "wss://0.0.0.0:0", "tls": {"cert": "tls.pem", "key": "tls.key"},
        "session_tokens": {"7": "tokens/7.token"}, "allowed_origins": ["https://desk.example"],
    }  # fmt: skip
    gateway.write_config()
    return gateway.start()


def address(gateway: Gateway, host: str = "localhost") -> str:
    """Where it is reached by that name."""
    return f"wss://{host}:{gateway.url.rsplit(':', 1)[1]}"


def test_a_strategy_elsewhere_trades_by_tls_with_a_token(far: Gateway) -> None:
    """What it needs can be carried to another machine: a text and a certificate."""
    token = far.token
    with pyalgo.Engine() as engine:
        session = engine.make_session(address(far), 1, trading=True, token=token, ca=far.folder / "tls.pem")
        subscription = session.subscribe("dogeusdt", "bbo")
        order = pyalgo.SmartOrder(subscription)
        order.send(None, 50, pyalgo.Side.BUY, pyalgo.OrderType.MARKET)
        while order.is_active:
            engine.process()
        assert subscription.net > 0
        by_address = address(far, "127.0.0.1")
        engine.make_session(by_address, 2, token=token, ca=far.folder / "tls.pem")
    assert far.running.end() == 143
    assert far.token == token, "kept"
    far.start()
    with pyalgo.Engine() as engine:
        engine.make_session(address(far), 1, token_file=far.folder / "token", ca=far.folder / "tls.pem")


def test_r73_a_session_with_a_token_of_its_own_is_its_holders_alone(far: Gateway) -> None:
    own = (far.folder / "tokens" / "7.token").read_text()
    assert (far.folder / "tokens" / "7.token").stat().st_mode & 0o077 == 0
    ca = far.folder / "tls.pem"
    with pyalgo.Engine() as engine:
        assert engine.make_session(address(far), 7, token=own, ca=ca).state == "ready"
        engine.make_session(address(far), 8, token=far.token, ca=ca)
    for session, token in ((7, far.token), (8, own)):
        with pyalgo.Engine() as engine, pytest.raises(pyalgo.BadProof):
            engine.make_session(address(far), session, token=token, ca=ca)


def test_what_the_certificate_does_not_vouch_for_is_refused(
    far: Gateway, tmp_path: Path, machine_lacks: MachineLacks
) -> None:
    other = make_certificate(tmp_path, machine_lacks, "DNS:localhost", "other")
    with pyalgo.Engine() as engine:
        for ca in (None, other):
            with pytest.raises(pyalgo.ConnectError, match=r"certificate is not to be trusted.*ca="):
                engine.make_session(address(far), 1, token=far.token, ca=ca)
        with pytest.raises(pyalgo.ConnectError, match="holds no certificate"):
            engine.make_session(address(far), 1, token=far.token, ca=far.folder / "tls.key")
        with pytest.raises(ValueError, match="wss://"):
            engine.make_session("ws://localhost:1", 1, ca=other)
        with pytest.raises(ValueError, match="not both"):
            engine.make_session(address(far), 1, token="x", token_file=other)


def test_the_tls_door_is_as_shut_as_the_other(far: Gateway) -> None:
    port = int(far.url.rsplit(":", 1)[1])
    assert far.url.startswith("wss://")
    trusted = ssl.create_default_context(cafile=far.folder / "tls.pem")
    with ExitStack() as stack:
        with pytest.raises((InvalidHandshake, OSError, EOFError)):
            open_socket(f"ws://localhost:{port}", stack)

        def knock(origin: str) -> ClientConnection | int | None:
            """Who is let in, or the answer; none yet where a handshake took longer than it may."""
            headers = {"Origin": origin}
            try:
                return open_socket(address(far), stack, ssl=trusted, additional_headers=headers)
            except InvalidStatus as refused:
                return refused.response.status_code
            except (InvalidMessage, OSError, EOFError):
                return None

        for origin in ("https://evil.example", "null", f"https://localhost:{port}"):
            assert eventually(partial(knock, origin), "an answer") == 403
        inside = eventually(partial(knock, "https://desk.example"), "an answer")
        assert isinstance(inside, ClientConnection)
        inside.send(json.dumps({"id": 1, "method": "balances"}))
        assert json.loads(inside.recv(PATIENCE))["error"]["name"] == "not_logged_in"
        # An old version of TLS, and a greeting that goes no further.
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        raw = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        with pytest.raises((ssl.SSLError, OSError)):
            old.wrap_socket(raw)
        slow = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        slow.sendall(b"\x16\x03\x01")
        with suppress(ConnectionError):
            assert slow.recv(100) == b"", "closed for being slow"


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("chmod", 77, "chmod 600"),
        ("empty", 78, '"tls.cert"'),
        ("another", 78, 'does not go with "tls.key"'),
        ("token", 77, "the token in"),
    ],
)
def test_files_of_the_tls_door_are_checked(
    gateway: Gateway, machine_lacks: MachineLacks, change: str, code: int, words: str
) -> None:
    cert = make_certificate(gateway.folder, machine_lacks)
    key = cert.with_suffix(".key")
    gateway.config |= {"local": "wss://localhost:0", "tls": {"cert": "tls.pem", "key": "tls.key"}}
    gateway.write_config()
    if change == "chmod":
        key.chmod(0o644)
    elif change == "empty":
        cert.write_text("")
    elif change == "another":
        cert.write_bytes(make_certificate(gateway.folder, machine_lacks, stem="second").read_bytes())
    else:
        (gateway.folder / "token").write_text("a" * 64)
        (gateway.folder / "token").chmod(0o644)
    done = gateway.run("-c=spot.json")
    assert done.returncode == code and words in done.stderr, done.stderr


class Squatter:
    """Something that took the port: it keeps what it is told, and repeats what it once heard."""

    def __init__(self, port: int, welcome: str) -> None:
        self.heard: list[str] = []

        def answer(connection: ServerConnection) -> None:
            for text in connection:
                self.heard.append(str(text))
                connection.send(welcome)

        self.server = serve(answer, "127.0.0.1", port, compression=None, ping_interval=None, close_timeout=1)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def end(self) -> None:
        """Gives the port back."""
        self.server.shutdown()
        self.thread.join()


def test_r64_who_takes_the_port_while_the_gateway_is_down_learns_nothing(gateway: Gateway) -> None:
    """The strategy comes back by itself, and proves nothing to whoever cannot prove first."""
    port = free_port()
    gateway.config["local"] = f"ws://127.0.0.1:{port}"
    gateway.write_config()
    gateway.start()
    token = gateway.token
    with ExitStack() as stack:
        # What the true gateway once said, of the same nonce even: as good as a squatter can do.
        listening = open_socket(gateway.url, stack)
        listening.send(json.dumps({"id": 1, "method": "hello", "params": {"version": 1, "nonce": "ab" * 16}}))
        welcome = str(listening.recv(PATIENCE))
    with pyalgo.Engine() as engine:
        session = engine.make_session(f"ws://127.0.0.1:{port}", 1, token_file=gateway.folder / "token")
        gateway.running.kill()
        squatter = Squatter(port, welcome)
        try:
            while not squatter.heard:
                engine.process()
        finally:
            squatter.end()
        assert session.state == "down"
        for text in squatter.heard:
            call = json.loads(text)
            assert call["method"] == "hello" and set(call["params"]) == {"version", "nonce", "session_id"}
            assert token not in text
        gateway.start()
        while session.state != "ready":
            engine.process()
