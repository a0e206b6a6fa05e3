"""The real programs as processes: an exchange, a gateway, and a client made of docs/protocol.md alone."""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
import random
import secrets
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosedError, InvalidMessage
from websockets.sync.client import ClientConnection, connect

from support import canary
from support.log import Line, told

Frame = dict[str, Any]

APIKEY = "canary-apikey-5f0c2b71"
# A wait ends with what is waited for; this is for machines that are busy, or stand still for a while.
PATIENCE = 120.0
# The gateway asks to log in again.
ANEW = 1012


def program(name: str) -> Path:
    """A built binary."""
    return Path(os.environ.get("TRADINGSYS_BIN_DIR", "target/debug")).resolve() / name


def eventually(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> Any:
    """The first true answer of `condition`."""
    until = time.monotonic() + patience
    while True:
        if answer := condition():
            return answer
        assert time.monotonic() < until, f"{what}: not within {patience:g} s"
        time.sleep(0.01)


# Below what the system gives to connections that leave: nobody else's takes it while a program is restarted.
PORTS = range(20_000, 32_000)
GIVEN: set[int] = set()


def free_port() -> int:
    """A port nobody listens at, another one each time."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        if port not in GIVEN and all(bindable(family, port) for family in (socket.AF_INET, socket.AF_INET6)):
            GIVEN.add(port)
            return port


def bindable(family: socket.AddressFamily, port: int) -> bool:
    """May somebody listen there? Where there is no such loopback, nobody is in the way."""
    try:
        with socket.socket(family) as probe:
            # What a connection that is over leaves behind is in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1" if family == socket.AF_INET else "::1", port))
    except OSError as error:
        return error.errno != errno.EADDRINUSE
    return True


def keygen(folder: Path) -> str:
    """Makes `private_key.pem` in the folder; the public half as PEM."""
    command: list[str | Path] = [program("spot"), "keygen", f"--out={folder / 'private_key.pem'}"]
    public = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    canary.remember(canary.of_key(folder / "private_key.pem"))
    return public


def whole_lines(file: Path) -> list[Any]:
    """Lines of JSON that are complete: a file may be read while the next one is written."""
    rows = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    return [json.loads(row) for row in rows if row.endswith(b"\n")]


class Process:
    """A program that says on its first line where it listens."""

    def __init__(self, command: list[str | Path], folder: Path, **options: Any) -> None:
        self.out = folder / f"{Path(command[0]).name}.out"
        self.err = folder / f"{Path(command[0]).name}.err"
        with self.out.open("wb") as out, self.err.open("ab") as err:
            self.popen = subprocess.Popen(command, cwd=folder, **({"stdout": out, "stderr": err} | options))
        self.listening: Frame = {}
        # Will it die by itself?
        self.armed = False

    def await_listening(self) -> None:
        """Until its first line is there."""

        def line() -> str:
            code = self.popen.poll()
            text = self.out.read_text()
            if "\n" in text:
                return text
            assert code is None, f"ended with {code}: {self.log()}"
            return ""

        self.listening = json.loads(eventually(line, "the first line of output").splitlines()[0])

    def log(self) -> str:
        """Its standard error of all runs so far."""
        return self.err.read_text()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal and waits; the exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        return self.popen.wait(PATIENCE)

    def kill(self) -> None:
        """Ends it without order, if it still runs."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(PATIENCE)


class Exchange(Process):
    """`binance-sim` with one account."""

    def __init__(self, folder: Path, public_key: str, *options: str, port: int = 0) -> None:
        (folder / "public_key.pem").write_text(public_key)
        account = f"--account=main:{APIKEY}:public_key.pem"
        command: list[str | Path] = [
            program("binance-sim"),
            f"--port={port}",
            account,
            "--data-dir=sim",
            *options,
        ]
        super().__init__(command, folder)
        self.await_listening()

    def control(self, method: str, path: str, body: object = None) -> Any:
        """A call of the control interface."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.listening["rest"] + path, data, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)


def addresses(exchange: Frame, exe: str) -> Frame:
    """Where a gateway finds the exchange: what `endpoints` of its configuration says."""
    if exe == "spot":
        return {name: exchange[name] for name in ("ws_api", "streams")}
    host = exchange["listening"]
    routes = {name: f"ws://{host}/{name}" for name in ("public", "market", "private")}
    return {"rest": exchange["rest"], "ws_api": f"ws://{host}/ws-fapi/v1"} | routes


class Gateway:
    """`spot`, or `usdt`; started, killed and started again. Both may live in one folder."""

    def __init__(self, folder: Path, endpoints: Frame, exe: str = "spot", **keys: object) -> None:
        self.folder = folder
        self.exe = exe
        self.process: Process | None = None
        beside = "" if exe == "spot" else f"{exe}_"
        self.config: Frame = {
            "apikey": APIKEY, "pem": "private_key.pem", "local": "ws://localhost:0", "db": f"{beside}db",
            "log_dir": "log", "token_file": f"{beside}token", "recovery_lag_ms": 200,
            # Tests kill it more often than anybody would let it go on; those of the count leave this out.
            "pause_after_crashes": 0,
            "endpoints": addresses(endpoints, exe),
        } | keys  # fmt: skip
        self.write_config()

    def write_config(self) -> None:
        """Writes its configuration."""
        (self.folder / f"{self.exe}.json").write_text(json.dumps(self.config))

    def start(self, *options: str, **how: Any) -> Gateway:
        """Starts it and waits until it listens."""
        command: list[str | Path] = [program(self.exe), f"-c={self.exe}.json", *options]
        self.process = Process(command, self.folder, **how)
        self.process.await_listening()
        if "token_file" in self.config:
            try:
                canary.remember(canary.of_text("a door's token", self.token))
                canary.remember(canary.of_text("the operator's token", self.operator_token))
            except FileNotFoundError:
                # One that ends at once takes its tokens along.
                self.process.popen.wait(PATIENCE)
        for file in dict(self.config.get("session_tokens") or {}).values():
            canary.remember(canary.of_text("a session's token", (self.folder / file).read_text()))
        return self

    def run(self, *arguments: str, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Runs it to its end."""
        command: list[str | Path] = [program(self.exe), *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=timeout)

    @property
    def running(self) -> Process:
        """The process."""
        assert self.process is not None, "started"
        return self.process

    @property
    def url(self) -> str:
        """Where it listens."""
        return str(self.running.listening["listening"])

    @property
    def token(self) -> str:
        """The token of the local door."""
        return (self.folder / str(self.config["token_file"])).read_text()

    @property
    def operator_token(self) -> str:
        """The operator's, beside it."""
        beside = self.folder / str(self.config["token_file"])
        beside = beside.with_name(f"operator.{beside.name}")
        return (self.folder / str(self.config.get("operator_token_file", beside))).read_text()

    def logged(self, event: str, *words: str, **fields: str) -> list[Line]:
        """Lines of the log of that event, with these words in its fields and these fields."""
        return told(self.running.log(), event, *words, **fields)

    def await_logged(self, event: str, *words: str, **fields: str) -> list[Line]:
        """The same, once there are any: a thread of its own writes the log, later than what it tells of."""

        def there() -> list[Line]:
            return told(self.running.log(), event, *words, **fields)

        return list(eventually(there, f"{event} in the log"))

    def client(self, session: int = 1, **login: Any) -> Client:
        """A client that is logged in and has been told that orders are taken."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                client = Client(self, session, **login)
                client.until(lambda frame: frame.get("event") == "state" and frame["state"] == "ready")
            except InvalidMessage:
                # The door waits three seconds for a handshake: a machine that stood still knocks again.
                if self.running.popen.poll() is not None or time.monotonic() > until:
                    raise
            except ConnectionClosedError as closed:
                if closed.rcvd is None or closed.rcvd.code != ANEW:
                    raise
            else:
                return client

    def sql(self, text: str, file: str = "pos.db") -> list[tuple[Any, ...]]:
        """What a user with an SQL shell does."""
        path = self.folder / str(self.config["db"]) / file
        with sqlite3.connect(path, timeout=PATIENCE) as connection:
            rows = connection.execute(text).fetchall()
        connection.close()
        return rows

    def position(self, session: int = 1, symbol: str = "dogeusdt") -> str | None:
        """What `pos.db` shows."""
        rows = self.sql(f"SELECT qty FROM position WHERE session_id={session} AND symbol='{symbol}'")
        return str(rows[0][0]) if rows else None


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, error: Frame) -> None:
        super().__init__(f"{error['code']} {error['name']}: {error['message']}")
        self.error = error


def is_for_now(refused: Refused) -> bool:
    """Is a symbol's past read, at its first use, or were answers too slow for the clocks to be compared?"""
    return "past orders and trades" in str(refused) or refused.error["name"] == "clock_off"


class Client:
    """Speaks the local protocol over a plain websocket library."""

    def __init__(self, gateway: Gateway, session: int, options: Frame | None = None, **login: Any) -> None:
        self.exit = ExitStack()
        self.socket = open_socket(gateway.url, self.exit, **(options or {}))
        self.frames: list[Frame] = []
        self.calls = 0
        nonce = secrets.token_hex(16)
        welcome = self.call("hello", version=1, nonce=nonce)
        theirs = welcome["nonce"]
        assert welcome["proof"] == proof(gateway.token, "gateway", nonce, theirs)
        mine = proof(gateway.token, "client", theirs, nonce, str(session))
        params = {"session_id": session, "name": f"test{session}", "trading": True, "proof": mine} | login
        self.seat = self.call("login", **params)
        self.number = self.seat["next_command"]
        self.frames.append(self.seat["state"])

    def receive(self, patience: float = PATIENCE) -> Frame:
        """The next frame off the socket."""
        return dict(json.loads(self.socket.recv(patience)))

    def call(self, method: str, **params: Any) -> Any:
        """The answer to a call; other frames are kept."""
        self.calls += 1
        number = self.calls
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            frame = self.receive()
            if frame.get("id") != number:
                self.frames.append(frame)
            elif "error" in frame:
                raise Refused(frame["error"])
            else:
                return frame["result"]

    def until(self, wanted: Callable[[Frame], bool]) -> Frame:
        """The first frame that is wanted; earlier ones are dropped."""
        while True:
            frame = self.frames.pop(0) if self.frames else self.receive()
            if wanted(frame):
                return frame

    def order(self, symbol: str = "dogeusdt", side: str = "BUY", **params: Any) -> str:
        """Places an order; its id."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return self.place(symbol, side, **params)
            except Refused as refused:
                if not is_for_now(refused) or time.monotonic() > until:
                    raise
            time.sleep(0.02)

    def place(self, symbol: str, side: str, **params: Any) -> str:
        """Sends one order; its id."""
        number, self.number = self.number, self.number + 1
        return str(self.call("order", n=number, symbol=symbol, side=side, **params)["order_id"])

    def buy(self, qty: str, symbol: str = "dogeusdt") -> Frame:
        """Buys at the market; the event of the order's end."""
        order = self.order(symbol, type="MARKET", qty=qty)
        return self.until(lambda frame: ended(frame, order))

    def close(self) -> None:
        """Leaves."""
        self.exit.close()


def open_socket(url: str, stack: ExitStack, **options: Any) -> ClientConnection:
    """A plain websocket, closed by the stack; it asks for no sign of life, and waits long for a goodbye."""
    patient = {"open_timeout": PATIENCE, "close_timeout": 10, "ping_interval": None}
    opened: ClientConnection = connect(url, compression=None, **(patient | options))
    return stack.enter_context(opened)


def ended(frame: Frame, order: str) -> bool:
    """Is this the event of that order's end?"""
    over = ("FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH")
    of_it = frame.get("event") == "order" and frame["order"]["order_id"] == order
    return of_it and frame["order"]["state"] in over


def proof(token: str, *parts: str) -> str:
    """What a side shows to prove that it knows the token."""
    return hmac.new(token.encode(), ":".join(parts).encode(), hashlib.sha256).hexdigest()


@contextmanager
def trading(
    folder: Path, *options: str, exe: str = "spot", port: int = 0, **keys: object
) -> Iterator[tuple[Exchange, Gateway]]:
    """An exchange, and a gateway not yet started, both ended afterwards; what they leave holds no secret."""
    exchange = Exchange(folder, keygen(folder), *options, port=port)
    secrets = canary.of_key(folder / "private_key.pem")
    gateway = Gateway(folder, exchange.listening, exe, **keys)
    try:
        yield exchange, gateway
    finally:
        if gateway.process is not None:
            gateway.process.kill()
        exchange.kill()
    assert canary.leaks(folder, secrets | canary.tokens_in(folder)) == []
