"""The real parts: `binance-sim` and `spot` as processes of a test, on free ports, with a key of their own.

`TRADINGSYS_BIN_DIR` names the folder of the binaries; without it, target/debug of this checkout.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from support.scripted import free_port

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "trader"
API_KEY = "test-key"


def binary(name: str) -> Path:
    """One of the project's programs."""
    folder = Path(os.environ.get("TRADINGSYS_BIN_DIR", ROOT / "target" / "debug"))
    found = folder / name
    if not found.exists():
        raise FileNotFoundError(f"{found} is not built: run ./dev build, or set TRADINGSYS_BIN_DIR")
    return found


def wait_for(what: str, holds: Callable[[], Any], seconds: float = 30) -> Any:
    """Looks again and again at what gives no other sign; returns the first true answer."""
    until = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        assert time.monotonic() < until, f"waited {seconds} s in vain: {what}"
        time.sleep(0.01)


class Program:
    """A program of ours; what it says goes to a file, which a failing test shows."""

    def __init__(self, name: str, folder: Path, command: Sequence[str | Path]) -> None:
        self.name = name
        self.folder = folder
        self.command = [str(part) for part in command]
        self.log = folder / f"{name}.log"
        self.running: subprocess.Popen[str] | None = None

    def start(self) -> dict[str, str]:
        """Starts it and waits until it says where it listens."""
        with self.log.open("a") as log:
            self.running = subprocess.Popen(
                self.command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                text=True,
            )  # fmt: skip
        assert self.running.stdout is not None
        ready = select.select([self.running.stdout], [], [], 60)[0]
        line = self.running.stdout.readline() if ready else ""
        if not line:
            self.kill()
            raise RuntimeError(f"{self.name} does not listen: {self.tail()}")
        told: dict[str, str] = json.loads(line)
        return told

    def kill(self) -> None:
        """As `kill -9` does."""
        if self.running is not None:
            self.running.kill()
            self._over()

    def stop(self) -> int:
        """Asks it to end; returns its exit code."""
        if self.running is None:
            return 0
        self.running.send_signal(signal.SIGTERM)
        self.running.wait(30)
        return self._over()

    def _over(self) -> int:
        assert self.running is not None
        code = self.running.wait(30)
        if self.running.stdout is not None:
            self.running.stdout.close()
        self.running = None
        return code

    def tail(self) -> str:
        """The end of what it said."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-40:])


class Exchange(Program):
    """`binance-sim` with one account."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.data = folder / "exchange"
        self.key = folder / "key.pem"
        keygen = [binary("spot"), "keygen", "--out", self.key]
        said = subprocess.run(keygen, check=True, capture_output=True, text=True).stdout
        public = re.search(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----\n", said, re.DOTALL)
        assert public, said
        (folder / "public.pem").write_text(public[0])
        account = f"{ACCOUNT}:{API_KEY}:{folder / 'public.pem'}"
        self.port = free_port()
        command = [
            binary("binance-sim"), "--port", str(self.port), "--account", account, "--data-dir", self.data,
        ]  # fmt: skip
        super().__init__("binance-sim", folder, [*command, *options])
        self.addresses: dict[str, str] = {}

    def start(self) -> dict[str, str]:
        """Starts it, or starts it again."""
        self.addresses = super().start()
        return self.addresses

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Asks the control interface."""
        request = urllib.request.Request(
            f"{self.addresses['rest']}/control/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.load(reply)

    def account(self, orders: str = "open") -> dict[str, Any]:
        """Balances and orders of the account, as the exchange has them."""
        state = self.control("GET", f"state?orders={orders}")
        found: dict[str, Any] = next(one for one in state["accounts"] if one["name"] == ACCOUNT)
        return found

    def orders(self, orders: str = "open") -> list[dict[str, Any]]:
        """Orders of the account; all there ever were with `all`."""
        found: list[dict[str, Any]] = self.account(orders)["orders"]
        return found

    def trades(self) -> list[dict[str, Any]]:
        """Trades of the account, from the exchange's own file."""
        file = self.data / "trades.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in map(json.loads, lines) if line["account"] == ACCOUNT]

    def price(self, symbol: str, price: str) -> None:
        """Moves the market there."""
        self.control("POST", "price", {"symbol": symbol, "price": price})

    def take(self, symbol: str, side: str, quantity: str, price: str | None = None) -> None:
        """The house trades: whatever rests there is filled."""
        order = {"symbol": symbol, "side": side, "qty": quantity}
        self.control("POST", "trade", order | ({"price": price} if price else {}))


class Gateway(Program):
    """`spot` at that exchange."""

    def __init__(self, folder: Path, exchange: Exchange, **config: Any) -> None:
        self.address = config.get("local") or f"ws://localhost:{free_port()}"
        self.token_file = folder / "gateway.token"
        urls = ("rest", "ws_api", "streams")
        self.config = {
            "apikey": API_KEY, "pem": str(exchange.key), "margin": False, "local": self.address,
            "endpoints": {name: exchange.addresses[name] for name in urls}, "db": str(folder),
            "token_file": str(self.token_file), "log_dir": str(folder / "log"), "recovery_lag_ms": 100,
        } | config  # fmt: skip
        file = folder / "spot.json"
        # A key set to None is left out: the gateway's own default holds.
        file.write_text(json.dumps({key: value for key, value in self.config.items() if value is not None}))
        super().__init__("spot", folder, [binary("spot"), f"-c={file}", "-l=info"])

    def positions(self) -> list[tuple[int, str, str, str]]:
        """Session, symbol, quantity and average price from `pos.db`, as a user would read them."""
        with sqlite3.connect(f"file:{self.folder / 'pos.db'}?mode=ro", uri=True, timeout=5) as db:
            rows = db.execute(
                "SELECT session_id, symbol, qty, avg_price FROM position ORDER BY 1, 2"
            ).fetchall()
        db.close()
        return [(int(session), symbol, str(qty), str(avg)) for session, symbol, qty, avg in rows]


class System:
    """Exchange and gateway, and strategies in processes of their own."""

    def __init__(self, folder: Path, options: Sequence[str] = (), **config: Any) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        self.exchange = Exchange(folder, *options)
        try:
            self.exchange.start()
            self.gateway = Gateway(folder, self.exchange, **config)
            self.gateway.start()
        except BaseException:
            self.stop()
            raise

    def environment(self) -> Mapping[str, str]:
        """What a strategy needs to find this gateway."""
        if self.gateway.config["token_file"] is None:
            return os.environ
        return os.environ | {"TRADINGSYS_TOKEN_FILE": str(self.gateway.token_file)}

    def strategy(self, file: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Starts a strategy; what it prints comes through its pipe."""
        command = [sys.executable, "-u", str(file), *arguments]
        program = subprocess.Popen(
            command, cwd=self.folder, env={**self.environment(), **variables}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.processes.append(program)
        return program

    def stop(self) -> None:
        """Ends everything, whatever became of it."""
        for program in self.processes:
            program.kill()
            if program.stdout is not None and not program.stdout.closed:
                program.communicate()
        if hasattr(self, "gateway"):
            self.gateway.kill()
        self.exchange.kill()

    def logs(self) -> str:
        """What a failing test wants to see."""
        parts: Iterable[Program] = (self.exchange, self.gateway)
        return "\n".join(f"--- {part.name}\n{part.tail()}" for part in parts)


def interrupt(program: subprocess.Popen[str]) -> tuple[int, str]:
    """Sends SIGINT as a user does; returns exit code and everything printed."""
    program.send_signal(signal.SIGINT)
    said, _ = program.communicate(timeout=30)
    return program.returncode, said
