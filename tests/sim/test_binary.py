"""The binary `binance-sim` on real sockets: what it says, what it writes, how it ends."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.processes import PATIENCE, eventually
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

SECRET = "secret of alice"
BINARY = Path(os.environ.get("TRADINGSYS_BIN_DIR", "target/debug")) / "binance-sim"

Start = Callable[..., dict[str, str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts simulators with the account `alice`; all end with the test."""
    running: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> dict[str, str]:
        command = [str(BINARY), "--port", "0", "--account", f"alice:ALICE::{SECRET}", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        return json.loads(process.stdout.readline()) | {"pid": str(process.pid)}

    yield run
    for process in running:
        process.terminate()
        process.wait(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()


def call(link: ClientConnection, method: str, params: dict[str, Any], signed: bool = True) -> Any:
    """Sends a request and waits for its reply; events before it are dropped."""
    if signed:
        params = params | {"apiKey": "ALICE", "timestamp": int(time.time() * 1000)}
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        params["signature"] = hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
    number = time.monotonic_ns()
    link.send(json.dumps({"id": number, "method": method, "params": params}))
    while (frame := json.loads(link.recv(PATIENCE))).get("id") != number:
        pass
    return frame


def control(address: dict[str, str], what: str, body: Any) -> Any:
    request = urllib.request.Request(f"{address['rest']}/control/{what}", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
        return json.load(reply)


def test_every_fill_is_in_the_journal_before_its_event_is_seen(start: Start, tmp_path: Path) -> None:
    address = start("--data-dir", str(tmp_path / "data"))
    with connect(address["ws_api"]) as link:
        call(link, "userDataStream.subscribe.signature", {})
        for number in range(20):
            order = {"symbol": "DOGEUSDT", "side": "BUY", "type": "MARKET", "quantity": "10"}
            link.send(json.dumps(signed_place(order, f"n{number}")))
            while True:
                event = json.loads(link.recv(PATIENCE)).get("event", {})
                if event.get("x") == "TRADE":
                    break
            lines = (tmp_path / "data" / "trades.jsonl").read_text(encoding="utf-8").splitlines()
            trades = [json.loads(line) for line in lines]
            assert any(row["client_order_id"] == f"n{number}" for row in trades)
            assert trades[-1] | {"account": "alice", "symbol": "DOGEUSDT", "side": "BUY"} == trades[-1]


def signed_place(order: dict[str, Any], client_id: str) -> dict[str, Any]:
    params = order | {"apiKey": "ALICE", "timestamp": int(time.time() * 1000), "newClientOrderId": client_id}
    payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
    params["signature"] = hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
    return {"id": client_id, "method": "order.place", "params": params}


def test_accounts_survive_a_killed_simulator(start: Start, tmp_path: Path) -> None:
    """Balances, open orders and histories are there after `kill -9`; a torn last line is cut away."""
    data = ["--data-dir", str(tmp_path / "data"), "--ticks-per-second", "0"]
    address = start(*data)
    with connect(address["ws_api"]) as link:
        for price in ("0.1", "0.11", "0.3"):
            order = {
                "symbol": "DOGEUSDT",
                "side": "BUY",
                "type": "LIMIT",
                "timeInForce": "GTC",
                "quantity": "10",
            }
            assert call(link, "order.place", order | {"price": price})["status"] == 200
    before = state(address)
    os.kill(int(address["pid"]), signal.SIGKILL)
    with (tmp_path / "data" / "orders.jsonl").open("a", encoding="utf-8") as journal:
        journal.write('{"event":"NE')
    address = start(*data)
    after = state(address)
    assert after == before
    assert sum(order["status"] == "FILLED" for order in after[0]["orders"]) == 1
    with connect(address["ws_api"]) as link:
        for order in after[0]["orders"]:
            if order["status"] == "NEW":
                cancel = {"symbol": "DOGEUSDT", "orderId": order["orderId"]}
                assert call(link, "order.cancel", cancel)["result"]["status"] == "CANCELED"
    start(*data)


def asked(address: dict[str, str], what: str) -> Any:
    with urllib.request.urlopen(f"{address['rest']}/control/{what}", timeout=PATIENCE) as reply:
        return json.load(reply)


def state(address: dict[str, str]) -> Any:
    return asked(address, "state?orders=all")["accounts"]


def test_both_sides_of_a_close_say_goodbye(start: Start) -> None:
    address = start()
    for target in (address["ws_api"], f"{address['streams']}/ws/dogeusdt@trade"):
        with connect(target) as link:
            pass
        assert link.close_code == 1000
    with connect(address["ws_api"]) as link:
        control(address, "faults", [{"fault": "connection.close", "side": "api"}])
        with pytest.raises(ConnectionClosed, match="1001"):
            link.recv(PATIENCE)


def test_a_cut_connection_ends_without_goodbye_and_a_half_open_one_is_silent(start: Start) -> None:
    address = start("--time-scale", "100")
    with connect(address["ws_api"]) as link:
        control(address, "faults", [{"fault": "connection.abort"}])
        with pytest.raises(ConnectionClosed, match="no close frame"):
            link.recv(PATIENCE)

    def stays_open() -> bool:
        with connect(address["ws_api"], ping_interval=None) as link:
            begun = time.monotonic()
            control(address, "faults", [{"fault": "connection.half_open"}])
            with pytest.raises(ConnectionClosed, match="no close frame"):
                link.send(json.dumps({"id": 1, "method": "ping"}))
                link.recv(PATIENCE)
            return time.monotonic() - begun > 0.5

    # Where this process stands still its own pong may be overdue before the connection is struck: once more.
    eventually(stays_open, "it stayed open until the ping was overdue")


def test_a_lost_http_reply_keeps_the_client_waiting(start: Start) -> None:
    address = start()
    control(address, "faults", [{"fault": "reply.drop", "method": "ping", "nth": 1}])
    host, port = address["listening"].split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as raw:
        raw.sendall(f"GET /api/v3/ping HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        eventually(lambda: asked(address, "state")["faults"][0]["struck"] == 1, "the fault to strike")
        raw.settimeout(0.3)
        with pytest.raises(TimeoutError):
            raw.recv(1)
    with urllib.request.urlopen(f"{address['rest']}/api/v3/ping", timeout=PATIENCE) as reply:
        assert reply.read() == b"{}"


def test_handshakes_follow_the_rfc(start: Start) -> None:
    address = start()
    host, port = address["listening"].split(":")
    key = base64.b64encode(b"sixteen bytes!!!").decode()
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as raw:
        raw.sendall(
            f"GET /ws/dogeusdt@trade HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = raw.recv(4096).decode().lower()
    accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
    assert head.startswith("http/1.1 101")
    assert f"sec-websocket-accept: {accept.decode().lower()}" in head
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{address['rest']}/nothing", timeout=PATIENCE)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_with_0(how: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen([str(BINARY), "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "listening" in process.stdout.readline()
        process.send_signal(how)
        assert process.wait(PATIENCE) == 0


def test_what_cannot_be_used_is_said(start: Start, tmp_path: Path) -> None:
    port = start()["listening"].split(":")[1]
    (tmp_path / "accounts.json").write_text('[{"name":"a"}]', encoding="utf-8")
    for arguments, code, words in [
        (["--port", port], 69, "choose another --port"),
        (["--accounts", str(tmp_path / "accounts.json")], 78, "apikey"),
        (["--accounts", str(tmp_path / "nowhere.json")], 78, "nowhere.json"),
        (["--account", "alice"], 78, "name:apikey:public-key.pem"),
        (["--account", "alice::alice.pem"], 78, "lacks the name or the API key"),
        (["--data-dir", "/proc/nowhere", "--port", "0"], 73, "data directory /proc/nowhere"),
        (["--colour"], 2, "--colour"),
    ]:
        result = subprocess.run(
            [str(BINARY), *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert result.returncode == code, (arguments, result.stderr)
        assert words in result.stderr
