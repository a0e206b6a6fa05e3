"""A gateway that does what a test says, written from docs/protocol.md with nothing of the project's code.

It shows how the SDK behaves when a gateway is slow, gone, wrong or malicious, which a real one is not on
command. The test gives a script, a function that gets each connection as a `Link`; whatever the script does
not look at is answered in the ordinary way.
"""

from __future__ import annotations

import json
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from support.processes import PATIENCE, proof

TOKEN = "0123456789abcdef" * 4
INSTALL = "7cz1k"
Frame = dict[str, Any]
Script = Callable[["Link"], None]

PRODUCT: Frame = {
    "symbol": "dogeusdt", "base": "DOGE", "quote": "USDT", "status": "TRADING", "tick_size": "0.00001",
    "lot": "1", "min_price": "0.00001", "max_price": "1000", "min_qty": "1", "max_qty": "9000000",
    "min_notional": "1", "max_notional": "9000000", "order_types": ["LIMIT", "LIMIT_MAKER", "MARKET"],
    "tifs": ["GTC", "IOC", "FOK"], "amend_allowed": True,
}  # fmt: skip


ALPHABET = "0123456789bcdfghjkmnpqrstvwxyz"


def _digits(value: int, width: int) -> str:
    text = ""
    while value:
        value, digit = divmod(value, len(ALPHABET))
        text = ALPHABET[digit] + text
    return text.rjust(width, "0")


def order_id(session: int, number: int, epoch: int = 1000) -> str:
    """The id both sides give the order of a command, by the rule in docs/protocol.md."""
    text = f"o{INSTALL}-{_digits(epoch, 5)}{_digits(session, 4)}-{_digits(number, 4)}"
    weighted = sum(at * max(ALPHABET.find(char), 0) for at, char in enumerate(text, 1))
    return text + ALPHABET[weighted % 29]


class Gone(Exception):
    """The strategy closed the connection; the script is over."""


class Link:
    """One connection of a strategy, seen from the gateway."""

    def __init__(self, gateway: ScriptedGateway, connection: ServerConnection, number: int) -> None:
        self.gateway = gateway
        self.socket = connection
        self.number = number
        self.login: Frame = {}
        self.epoch = 1000
        self.acks: list[Frame] = []
        self.calls: list[Frame] = []

    def send(self, **frame: Any) -> None:
        """Sends a frame."""
        self.send_text(json.dumps(frame))

    def send_text(self, text: str) -> None:
        """Sends a frame that may be no JSON at all."""
        try:
            self.socket.send(text)
        except ConnectionClosed as closed:
            raise Gone from closed

    def result(self, call: Frame, result: Any) -> None:
        """Answers a call."""
        self.send(id=call["id"], result=result)

    def error(self, call: Frame, code: int, name: str, message: str) -> None:
        """Refuses a call."""
        self.send(id=call["id"], error={"code": code, "name": name, "message": message})

    def receive(self, timeout: float = PATIENCE) -> Frame:
        """The next frame, of whatever kind."""
        try:
            frame: Frame = json.loads(self.socket.recv(timeout=timeout))
        except ConnectionClosed as closed:
            raise Gone from closed
        if frame["method"] == "ack":
            self.acks.append(frame["params"])
        else:
            self.calls.append(frame)
        return frame

    def next(self, *methods: str, timeout: float = PATIENCE) -> Frame:
        """The next call of one of these methods; others are answered in the ordinary way."""
        while True:
            call = self.receive(timeout)
            if call["method"] in methods:
                return call
            self.ordinary(call)

    def serve(self) -> None:
        """Answers in the ordinary way until the strategy leaves."""
        while True:
            self.ordinary(self.receive())

    def ordinary(self, call: Frame) -> None:
        """What a good gateway without anything to say would answer."""
        params = call.get("params", {})
        answers: dict[str, Callable[[], Any]] = {
            "subscribe": lambda: {
                "streams": params["streams"],
                "products": [PRODUCT | {"symbol": name.split("@")[0]} for name in params["streams"]],
            },
            "unsubscribe": lambda: {"streams": params["streams"]},
            "orders": lambda: {"session_id": self.login["session_id"], "orders": []},
            "positions": lambda: {"session_id": self.login["session_id"], "positions": []},
            "products": lambda: [PRODUCT],
            "balances": list,
            "history": list,
            "order": lambda: {"n": params["n"], "order_id": self.order_id(call)},
            "cancel": lambda: {"n": params["n"], "order_id": params["order_id"]},
            "cancel_all": lambda: {"n": params["n"], "order_ids": []},
            "amend": lambda: {"n": params["n"], "order_id": params["order_id"]},
        }
        if call["method"] != "ack":
            self.result(call, answers[call["method"]]())

    def greet(self) -> Frame:
        """Answers `hello` and returns the login call, its proof checked."""
        hello = self.next("hello")
        theirs, ours = hello["params"]["nonce"], secrets.token_hex(16)
        assert hello["params"]["version"] == 1
        assert len(theirs) >= 32
        welcome = {"version": 1, "market": "spot", "gateway": "scripted 0", "nonce": ours}
        self.result(hello, welcome | {"proof": proof(TOKEN, "gateway", theirs, ours)})
        login = self.next("login")
        self.login = login["params"]
        expected = proof(TOKEN, "client", ours, theirs, str(self.login["session_id"]))
        assert self.login["proof"] == expected, "the client's proof is wrong"
        return login

    def let_in(self, login: Frame, **changes: Any) -> None:
        """Answers the login; unless told otherwise the session is new, so a snapshot follows."""
        params = login["params"]
        told = {
            "session_id": params["session_id"], "name": params["name"], "trading": params["trading"],
            "install": INSTALL, "epoch": 1000, "prefix": "o", "next_command": 1,
            "last": {"gen": 1, "seq": 0}, "resume": "snapshot", "answers": [],
            "state": {"event": "state", "state": "ready"}, "time": 1,
        } | changes  # fmt: skip
        self.epoch = told["epoch"]
        self.result(login, told)

    def accept(self, **changes: Any) -> None:
        """The whole way in."""
        self.let_in(self.greet(), **changes)
        if changes.get("resume", "snapshot") == "snapshot":
            last = changes.get("last", {"gen": 1, "seq": 0})
            self.send(event="snapshot", **last, time=1, orders=[], positions=[])

    def order_id(self, call: Frame) -> str:
        """The id of the order a call asks for."""
        return order_id(self.login["session_id"], call["params"]["n"], self.epoch)

    def view(self, call: Frame, state: str, filled: str = "0", **more: Any) -> Frame:
        """An order as events show it, from the call that asked for it."""
        fields = (
            "n", "symbol", "side", "type", "tif", "price", "stop_price", "qty", "quote_amount",
            "reduce_only", "good_till", "working_type", "callback_rate", "activation_price",
        )  # fmt: skip
        view = {name: call["params"][name] for name in fields if name in call["params"]}
        quote = Decimal(filled) * Decimal(view.get("price", "0"))
        told = {"order_id": self.order_id(call), "state": state, "filled": filled, "time": 2}
        return {"qty": "0"} | view | told | {"filled_quote": f"{quote.normalize():f}"} | more

    def order(self, seq: int, call: Frame, state: str, filled: str = "0", **more: Any) -> None:
        """Tells of an order as it was asked for."""
        order = self.view(call, state, filled)
        position = {"symbol": order["symbol"], "net": filled, "avg_price": "0.2", "realised": "0"}
        event = {"gen": 1, "seq": seq, "time": 2, "event": "order", "order": order, "position": position}
        self.send(**(event | more))

    def fill(self, seq: int, call: Frame, quantity: str, filled: str, state: str) -> None:
        """Tells of a fill as maker, with its fee in the quote asset."""
        price = call["params"]["price"]
        quote = f"{(Decimal(quantity) * Decimal(price)).normalize():f}"
        fill = {
            "trade_id": 100 + seq, "price": price, "qty": quantity, "quote": quote, "fee": "0.001",
            "fee_asset": "USDT", "maker": True, "time": 3,
        }  # fmt: skip
        self.order(seq, call, state, filled, fill=fill)

    def depth(self, update_id: int, bid: str, ask: str, stream: str = "dogeusdt@depth") -> None:
        """One level on each side."""
        data = {"time": update_id, "update_id": update_id, "bids": [[bid, "10"]], "asks": [[ask, "20"]]}
        self.send(stream=stream, data=data)

    def abort(self) -> None:
        """Ends the connection without a word."""
        self.socket.socket.shutdown(socket.SHUT_RDWR)

    def close(self, code: int, reason: str) -> None:
        """Ends the connection."""
        self.socket.close(code, reason)


class ScriptedGateway:
    """A gateway on a free port of this machine, its token in a file."""

    def __init__(self, folder: Path, script: Script) -> None:
        self.script = script
        self.links: list[Link] = []
        self.faults: list[BaseException] = []
        self.token_file = folder / "token"
        self.token_file.write_text(f"{TOKEN}\n")
        self.server = serve(
            self._handle, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=1
        )
        self.port = self.server.socket.getsockname()[1]
        self.address = f"ws://localhost:{self.port}"
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def _handle(self, connection: ServerConnection) -> None:
        link = Link(self, connection, len(self.links))
        self.links.append(link)
        try:
            self.script(link)
        except (Gone, ConnectionClosed):
            pass
        except BaseException as fault:
            self.faults.append(fault)

    def stop(self) -> None:
        """Ends it; a fault of the script is the test's fault."""
        self.server.shutdown()
        self._thread.join()
        if self.faults:
            raise self.faults[0]


@contextmanager
def scripted(folder: Path, script: Script) -> Iterator[ScriptedGateway]:
    """A gateway with this script, for a while."""
    gateway = ScriptedGateway(folder, script)
    try:
        yield gateway
    finally:
        gateway.stop()
