"""Hostile handshakes: what a page, a stranger or a mistaken program may say to the door. None gets in."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.processes import PATIENCE, Client, Frame, Gateway, open_socket, proof, trading
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

ALLOWED = "https://desk.example"
UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION = "Sec-WebSocket-Version: 13\r\n"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that runs, with one web origin allowed; one for all rows."""
    folder = tmp_path_factory.mktemp("door")
    with trading(folder, allowed_origins=[ALLOWED]) as (_, gateway):
        yield gateway.start()


def port_of(gateway: Gateway) -> int:
    """Where it listens."""
    return int(gateway.url.rsplit(":", 1)[1])


def asked(headers: str = "", host: str | None = "localhost:{port}", line: str = "GET / HTTP/1.1") -> str:
    """A right request, but for what is changed."""
    named = "" if host is None else f"Host: {host}\r\n"
    return f"{line}\r\n{named}{UPGRADE}{KEY}{VERSION}{headers}\r\n"


def origin(value: str, name: str = "Origin") -> str:
    """A right request of a page of that origin."""
    return asked(f"{name}: {value}\r\n")


def knocked(gateway: Gateway, stack: ExitStack) -> socket.socket:
    """A socket at the door, closed by the stack."""
    at = ("127.0.0.1", port_of(gateway))
    return stack.enter_context(socket.create_connection(at, timeout=PATIENCE))


def spelt(gateway: Gateway, request: str) -> bytes:
    """The request as it is sent: `{port}` stands for the door's port."""
    return request.replace("{port}", str(port_of(gateway))).encode()


def said(gateway: Gateway, request: str) -> bytes:
    """What the door says to that until it closes, or lets in."""
    with ExitStack() as stack:
        raw, heard = knocked(gateway, stack), b""
        try:
            raw.sendall(spelt(gateway, request))
            while len(heard) < 10_000 and b" 101 " not in heard[:20] and (data := raw.recv(4096)):
                heard += data
        except ConnectionError:
            pass
        return heard


def headed(size: int) -> str:
    """A right request whose head has so many bytes once its port, of five digits, is in it."""
    rest = len(asked("X: \r\n").replace("{port}", "12345"))
    return asked(f"X: {'x' * (size - rest)}\r\n")


def fields(count: int) -> str:
    """A right request with so many header fields."""
    return asked("".join(f"X-{n}: 1\r\n" for n in range(count - asked().count(": "))))


# What a page cannot choose is in its Origin; what it can choose is in the name it was led here by.
HOSTILE = {
    "a foreign origin": origin("https://evil.example"),
    "a sandboxed frame": origin("null"),
    "no origin's text": origin(""),
    "the right name without TLS": origin("http://desk.example"),
    "a suffix": origin(f"{ALLOWED}.evil.example"),
    "a prefix": origin("https://evildesk.example"),
    "a name below it": origin("https://a.desk.example"),
    "another port": origin(f"{ALLOWED}:8443"),
    "its usual port spelt out": origin(f"{ALLOWED}:443"),
    "a name before an at sign": origin(f"{ALLOWED}@evil.example"),
    "a path": origin(f"{ALLOWED}/evil"),
    "a trailing slash": origin(f"{ALLOWED}/"),
    "a trailing dot": origin(f"{ALLOWED}."),
    "capitals": origin("HTTPS://DESK.EXAMPLE"),
    "another alphabet": origin("https://d\u0435sk.example"),
    "the gateway's own address": origin("http://localhost:{port}"),
    "a file": origin("file://"),
    "an extension": origin("chrome-extension://abcdefghijklmnop"),
    "two origins, the right one first": asked(f"Origin: {ALLOWED}\r\nOrigin: https://evil.example\r\n"),
    "two origins, the right one last": asked(f"Origin: https://evil.example\r\nOrigin: {ALLOWED}\r\n"),
    "a list of origins": origin(f"{ALLOWED}, https://evil.example"),
    "origins one behind the other": origin(f"{ALLOWED} https://evil.example"),
    "a folded origin": asked(f"Origin: {ALLOWED}\r\n .evil.example\r\n"),
    "a foreign origin in small letters": origin("https://evil.example", "origin"),
    "a nul in the origin": asked(f"Origin: {ALLOWED}\0.evil.example\r\n"),
    "the websocket draft's origin": asked(f"Origin: null\r\nSec-WebSocket-Origin: {ALLOWED}\r\n"),
    "a rebound name": asked(host="evil.example:{port}"),
    "a rebound name and its origin": asked("Origin: http://evil.example:{port}\r\n", "evil.example:{port}"),
    "a name that begins right": asked(host="localhost.evil.example:{port}"),
    "an address that begins right": asked(host="127.0.0.1.nip.example:{port}"),
    "a name that ends right": asked(host="evil-localhost:{port}"),
    "a dot behind the name": asked(host="localhost.:{port}"),
    "the port of another": asked(host="localhost:1"),
    "no port": asked(host="localhost"),
    "a port twice": asked(host="localhost:{port}:{port}"),
    "a port with a sign": asked(host="localhost:+{port}"),
    "no host": asked(host=None),
    "an empty host": asked(host=""),
    "two hosts": asked("Host: evil.example\r\n"),
    "a folded host": asked(host="localhost:{port}\r\n evil.example"),
    "a blank before the colon": asked("Host : evil.example\r\n"),
    "every address": asked(host="0.0.0.0:{port}"),
    "an address of the house": asked(host="192.168.0.10:{port}"),
    "the loopback as one number": asked(host="2130706433:{port}"),
    "the loopback in hexadecimal": asked(host="0x7f.1:{port}"),
    "the loopback by way of IPv6": asked(host="[::ffff:127.0.0.1]:{port}"),
    "a user's name before the host": asked(host="localhost@evil.example:{port}"),
    "a forwarded host": asked("X-Forwarded-Host: localhost:{port}\r\n", "evil.example:{port}"),
    "an address in the request line": asked(line="GET http://evil.example:{port}/ HTTP/1.1"),
    "the right address in the request line": asked(line="GET http://localhost:{port}/ HTTP/1.1"),
    "a plain request": "GET / HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n",
    "a form": "POST / HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 3\r\n\r\na=b",
    "a right request by POST": asked(line="POST / HTTP/1.1"),
    "a tunnel": asked(line="CONNECT localhost:{port} HTTP/1.1"),
    "HTTP/1.0": asked(line="GET / HTTP/1.0"),
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another upgrade": asked().replace("Upgrade: websocket", "Upgrade: h2c"),
    "no upgrade": asked().replace(UPGRADE, ""),
    "no key": asked().replace(KEY, ""),
    "an older version": asked().replace("Version: 13", "Version: 8"),
    "no version": asked().replace(VERSION, ""),
    "a frame before the answer": asked() + "\x01\x00\0\0\0\0",
    "two hundred header fields": fields(200),
    "a header field too many": fields(65),
    "a header of 100 kB": asked(f"X: {'x' * 100_000}\r\n"),
    "a head of a byte too many": headed(4097),
    "a path of 5 kB": asked(line=f"GET /{'x' * 5000} HTTP/1.1"),
    "a cookie of 5 kB": asked(f"Cookie: a={'x' * 5000}\r\n"),
    "a header without a name": asked(": evil\r\n"),
    "a request line that is none": "\0\1\2\3\r\n\r\n",
    "another protocol": "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "lines of a mail": "EHLO localhost\r\nMAIL FROM:<a@b>\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("row", HOSTILE)
def test_r64_r65_no_hostile_handshake_gets_in(door: Gateway, row: str) -> None:
    heard = said(door, HOSTILE[row])
    assert not heard or re.match(rb"HTTP/1.1 [45]\d\d ", heard), heard


def test_the_table_is_long_enough() -> None:
    assert len(HOSTILE) >= 30


@pytest.mark.parametrize(
    "request_",
    [
        asked(),
        asked(host="127.0.0.1:{port}"),
        asked(host="[::1]:{port}"),
        asked(host="LOCALHOST:{port}"),
        origin(ALLOWED),
        asked("Sec-WebSocket-Extensions: permessage-deflate\r\n", line="GET /any/path?and=query HTTP/1.1"),
        fields(64),
        headed(4096),
    ],
    ids=[
        "localhost",
        "IPv4",
        "IPv6",
        "capitals",
        "an allowed origin",
        "a path",
        "many fields",
        "a long head",
    ],
)
def test_r64_a_right_handshake_gets_in(door: Gateway, request_: str) -> None:
    """What the table changes is what keeps its rows out."""
    assert said(door, request_).startswith(b"HTTP/1.1 101 ")


def test_r67_whoever_says_too_little_too_slowly_is_closed(door: Gateway) -> None:
    """All at once: each may take three seconds."""
    # At twenty bytes a second it would be there after more than a minute.
    begun = spelt(door, asked(f"X: {'x' * 1500}\r\n"))
    beginnings = {
        "nothing": b"", "half a line": b"GET / HTT", "no last line": begun[:-2], "zeros": b"\0" * 9000,
        "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(32), "random": os.urandom(2000),
    }  # fmt: skip
    with ExitStack() as stack:
        raws = {name: knocked(door, stack) for name in [*beginnings, "a byte at a time"]}
        for name, beginning in beginnings.items():
            raws[name].sendall(beginning)
        sent = 0
        slow = raws["a byte at a time"]
        slow.settimeout(0.05)
        heard = b"?"
        # The drip is what is tested: it must not buy more time.
        while heard == b"?" and sent < len(begun) - 3:
            try:
                slow.sendall(begun[sent : sent + 1])
                sent += 1
                heard = slow.recv(100)
            except TimeoutError:
                pass
            except ConnectionError:
                heard = b""
        assert heard == b"", f"the slow one was borne for {sent} bytes"
        for name in beginnings:
            try:
                told = raws[name].recv(1000)
            except ConnectionError:
                told = b""
            assert not told.startswith(b"HTTP/1.1 101"), name
    assert door.client().seat["session_id"] == 1, "others are served"


def shaken(gateway: Gateway, stack: ExitStack) -> socket.socket:
    """A socket behind a right handshake, for bytes that no library would send."""
    raw = knocked(gateway, stack)
    raw.sendall(spelt(gateway, asked()))
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += raw.recv(1)
    return raw


def frame(head: int, payload: bytes, masked: bool = True, length: int | None = None) -> bytes:
    """A websocket frame, right or wrong; masked with zeros."""
    size = len(payload) if length is None else length
    mask = 0x80 if masked else 0
    if size < 126:
        start = struct.pack(">BB", head, mask | size)
    elif size < 65_536:
        start = struct.pack(">BBH", head, mask | 126, size)
    else:
        start = struct.pack(">BBQ", head, mask | 127, size)
    return start + (b"\0\0\0\0" if masked else b"") + payload


HELLO = json.dumps({"id": 1, "method": "hello", "params": {"version": 1, "nonce": "ab" * 16}}).encode()

# What breaks the framing, and the closing code where there is one: most of it ends the connection at once.
FRAMES: dict[str, tuple[bytes, int | None]] = {
    "not masked": (frame(0x81, HELLO, masked=False), None),
    "a reserved bit": (frame(0xC1, HELLO), None),
    "an unknown kind": (frame(0x83, HELLO), None),
    "an unknown control": (frame(0x8B, b""), None),
    "the end of what never began": (frame(0x80, HELLO), None),
    "a message within a message": (frame(0x01, HELLO[:9]) + frame(0x81, HELLO), None),
    "a ping in two parts": (frame(0x09, b"a"), None),
    "a long ping": (frame(0x89, b"a" * 126), None),
    "a gigantic length": (frame(0x81, b"a", length=1 << 40), 1009),
    "a negative length": (frame(0x81, b"a", length=1 << 63), None),
    "one frame of 65 kB": (frame(0x81, b"a" * 65_537), 1009),
    "66 kB in parts": (frame(0x01, b"a" * 1000) + frame(0x00, b"a" * 1000) * 65, 1009),
    "a close of one byte": (frame(0x88, b"\x03"), None),
    "a binary frame": (frame(0x82, HELLO), 1008),
    "no UTF-8": (frame(0x81, b"\xff\xfe"), 1007),
}


@pytest.mark.parametrize("row", FRAMES)
def test_r66_a_frame_that_breaks_the_rules_is_the_last(door: Gateway, row: str) -> None:
    sent, code = FRAMES[row]
    with ExitStack() as stack:
        raw = shaken(door, stack)
        heard = b""
        try:
            raw.sendall(sent)
            # What the gateway says last is a closing frame; after it, it waits for ours.
            while heard[:1] != b"\x88" and (data := raw.recv(4096)):
                heard += data
        except ConnectionError:
            pass
        assert b'"result"' not in heard, heard
        # Nothing, or a closing frame; what it could not read of it may have turned it into a reset.
        assert not heard or heard[0] == 0x88, heard
        if code is not None and (heard or len(sent) < 1000):
            assert struct.unpack(">H", heard[2:4])[0] == code, heard


def test_r66_parts_without_end_are_bounded(door: Gateway) -> None:
    """A byte a frame: 64 KiB of them are a message too many, whatever they cost the sender."""
    part = frame(0x00, b"a") * 1000
    with ExitStack() as stack:
        raw = shaken(door, stack)
        sent = 0
        try:
            raw.sendall(frame(0x01, b"a"))
            while sent < 200_000:
                raw.sendall(part)
                sent += 1000
            assert raw.recv(4096)[:1] == b"\x88"
        except ConnectionError:
            pass
        assert sent <= 200_000
    status = Path(f"/proc/{door.running.popen.pid}/status")
    if status.exists():
        resident = re.search(r"VmRSS:\s+(\d+) kB", status.read_text())
        assert resident and int(resident[1]) < 256 * 1024, "memory is bounded"


@pytest.fixture
def stranger(door: Gateway) -> Iterator[ClientConnection]:
    """Behind the handshake, and no further."""
    with ExitStack() as stack:
        yield open_socket(door.url, stack)


def call(connection: ClientConnection, number: int, method: str, **params: object) -> Frame:
    """The reply to a call."""
    connection.send(json.dumps({"id": number, "method": method, "params": params}))
    return dict(json.loads(connection.recv(PATIENCE)))


def hello(connection: ClientConnection) -> tuple[str, Frame]:
    """Our nonce, and the gateway's answer."""
    nonce = secrets.token_hex(16)
    return nonce, call(connection, 1, "hello", version=1, nonce=nonce)["result"]


def login(connection: ClientConnection, shown: str) -> str:
    """What a login with that proof is refused with."""
    reply = call(connection, 2, "login", session_id=21, trading=True, proof=shown)
    return str(reply["error"]["name"])


def test_r64_nobody_gets_in_by_a_proof_that_is_not_his_own(door: Gateway, stranger: ClientConnection) -> None:
    with ExitStack() as stack:
        other = open_socket(door.url, stack)
        their_nonce, theirs = hello(other)
        right_there = proof(door.token, "client", theirs["nonce"], their_nonce, "21")
        nonce, welcome = hello(stranger)
        assert login(stranger, right_there) == "bad_proof", "made for another connection"
    assert login(stranger, welcome["proof"]) == "bad_proof", "the gateway's own, sent back"
    assert login(stranger, "") == "bad_proof"
    for_nine = proof(door.token, "client", welcome["nonce"], nonce, "9")
    assert login(stranger, for_nine) == "bad_proof", "made for another session"
    assert login(stranger, proof("", "client", welcome["nonce"], nonce, "21")) == "bad_proof", (
        "an empty token"
    )
    right = proof(door.token, "client", welcome["nonce"], nonce, "21")
    reply = call(stranger, 3, "login", session_id=21, trading=False, proof=right)
    assert reply["result"]["session_id"] == 21, "the right one does"


def operator_hello(connection: ClientConnection) -> tuple[str, Frame]:
    """Our nonce, and the gateway's answer to one who says that he is the operator."""
    nonce = secrets.token_hex(16)
    return nonce, call(connection, 1, "hello", version=1, nonce=nonce, operator=True)["result"]


def operate(connection: ClientConnection, shown: str) -> str:
    """What becomes of an operator with that proof."""
    return str(call(connection, 2, "operate", proof=shown).get("error", {"name": "in"})["name"])


def test_r64_no_token_and_no_proof_of_another_makes_an_operator(
    door: Gateway, stranger: ClientConnection
) -> None:
    own = door.operator_token
    assert own != door.token and len(own) == 64
    nonce, welcome = operator_hello(stranger)
    theirs = welcome["nonce"]
    assert welcome["proof"] == proof(own, "gateway", nonce, theirs)
    for what, shown in {
        "the token of strategies": proof(door.token, "operator", theirs, nonce),
        "an empty token": proof("", "operator", theirs, nonce),
        "the gateway's own, sent back": welcome["proof"],
        "that of a session": proof(own, "client", theirs, nonce, "0"),
        "the nonces the other way round": proof(own, "operator", nonce, theirs),
        "nothing": "", "half of it": proof(own, "operator", theirs, nonce)[:32], "no hexadecimal": "é" * 64,
    }.items():  # fmt: skip
        assert operate(stranger, shown) == "bad_proof", what
    as_session = proof(own, "client", theirs, nonce, "21")
    assert call(stranger, 3, "login", session_id=21, trading=True, proof=as_session)["error"]["name"] == (
        "not_logged_in"
    ), "he greeted as the operator"
    assert operate(stranger, proof(own, "operator", theirs, nonce)) == "in", "the right one does"
    assert call(stranger, 4, "operator.status")["result"]["market"] == "spot"
    trade = {"n": 1, "symbol": "dogeusdt", "side": "BUY", "type": "MARKET", "qty": "10"}
    assert call(stranger, 5, "order", **trade)["error"]["name"] == "no_session"


def test_r64_the_operators_token_opens_no_session(door: Gateway, stranger: ClientConnection) -> None:
    nonce, welcome = hello(stranger)
    for session in ("21", "0", "65535"):
        shown = proof(door.operator_token, "client", welcome["nonce"], nonce, session)
        reply = call(stranger, 2, "login", session_id=int(session), trading=True, proof=shown)
        assert reply["error"]["name"] == "bad_proof"
    shown = proof(door.operator_token, "operator", welcome["nonce"], nonce)
    assert operate(stranger, shown) == "not_logged_in", "he greeted as a session"
    mode = (door.folder / "operator.token").stat().st_mode
    assert mode & 0o077 == 0, "others of this machine cannot read it"


def test_r64_guessing_the_operators_proof_ends_the_connection(stranger: ClientConnection) -> None:
    operator_hello(stranger)
    for _ in range(19):
        assert operate(stranger, secrets.token_hex(32)) == "bad_proof"
    stranger.send(json.dumps({"id": 2, "method": "operate", "params": {"proof": ""}}))
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            stranger.recv(PATIENCE)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


def test_r64_guessing_ends_the_connection(stranger: ClientConnection) -> None:
    hello(stranger)
    for _ in range(19):
        assert login(stranger, secrets.token_hex(32)) == "bad_proof"
    stranger.send(json.dumps({"id": 2, "method": "login", "params": {"session_id": 1, "trading": True}}))
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            stranger.recv(PATIENCE)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


@pytest.mark.parametrize(
    "method",
    ["order", "cancel_all", "subscribe", "products", "balances", "time", "operator.status"],
)
def test_r64_nothing_is_answered_before_the_login(stranger: ClientConnection, method: str) -> None:
    params: Frame = {
        "order": {"n": 1, "symbol": "dogeusdt", "side": "BUY", "type": "MARKET", "qty": "10"},
        "cancel_all": {"n": 1}, "subscribe": {"streams": ["dogeusdt@bbo"]},
    }.get(method, {})  # fmt: skip
    hello(stranger)
    assert call(stranger, 7, method, **params)["error"]["name"] == "not_logged_in"


def pending_of(params: str) -> str:
    """A login with a pending order; around its params objects and arrays lie four deep."""
    pending = f'[{{"epoch":1,"method":"order","params":{params}}}]'
    return f'{{"id":1,"method":"login","params":{{"session_id":1,"trading":true,"pending":{pending}}}}}'


@pytest.mark.parametrize(
    "text",
    [
        "[" * 60_000,
        '{"id":1,"method":"hello","params":' + '{"a":' * 10_000 + "1" + "}" * 10_000 + "}",
        pending_of("[" * 20_000 + "]" * 20_000),
        pending_of("[" * 13 + "]" * 13),
        '{"id":1,"method":"hello","method":"login","params":{}}',
        '{"id":1e999,"method":"hello","params":{}}',
        '{"id":1,"method":"hello","params":{"version":1,"nonce":"' + "\\u0000" * 16 + '"}}',
        '{"id":1,"method":"hello","params":{"version":1,"nonce":"' + "ab" * 65 + '"}}',
        '{"id":1,"method":"hello","params":{"version":4294967296,"nonce":"' + "ab" * 16 + '"}}',
    ],
    ids=[
        "brackets",
        "nested",
        "nested values",
        "one too deep",
        "key twice",
        "large id",
        "nuls",
        "long nonce",
        "version",
    ],
)
def test_r66_nesting_and_odd_values_are_refused(stranger: ClientConnection, text: str) -> None:
    stranger.send(text)
    assert json.loads(stranger.recv(PATIENCE))["error"]["name"] == "bad_request"
    hello(stranger)


def test_r66_what_is_nested_as_deep_as_allowed_is_read(stranger: ClientConnection) -> None:
    """It is refused for another reason: nobody has said hello yet."""
    stranger.send(pending_of("[" * 12 + "]" * 12))
    assert json.loads(stranger.recv(PATIENCE))["error"]["name"] == "not_logged_in"


def test_r64_secrets_are_never_in_an_address(door: Gateway) -> None:
    """A token in the request line is not looked at, so that nobody puts it there."""
    with ExitStack() as stack:
        basic = base64.b64encode(f"x:{door.token}".encode()).decode()
        connection = open_socket(
            f"{door.url}/?token={door.token}", stack, additional_headers={"Authorization": f"Basic {basic}"}
        )
        assert call(connection, 1, "time")["error"]["name"] == "not_logged_in"
    assert door.token not in door.running.log()


def test_r64_the_right_client_is_served_after_all_that(door: Gateway) -> None:
    client = Client(door, 3)
    assert client.call("time")["time"] > 0
