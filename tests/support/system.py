"""The whole system for a strategy: an exchange, a gateway at it, and strategies as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from support import canary
from support.processes import PATIENCE, Exchange, Gateway, eventually, keygen, whole_lines

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "main"


def wait_for(what: str, holds: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Looks again and again at what gives no other sign; returns the first true answer."""
    return eventually(holds, what, seconds)


class System:
    """An exchange that runs, a gateway that takes strategies, and what they have traded."""

    def __init__(self, folder: Path, options: Sequence[str] = (), **config: Any) -> None:
        self.folder = folder
        self.strategies: list[subprocess.Popen[str]] = []
        public_key = keygen(folder)
        self.secrets = canary.of_key(folder / "private_key.pem")
        self.exchange = Exchange(folder, public_key, *options)
        # A key set to None is left out: the gateway's own default holds.
        self.gateway = Gateway(folder, self.exchange.listening, **config)
        self.gateway.config = {key: value for key, value in self.gateway.config.items() if value is not None}
        self.gateway.write_config()
        try:
            self.gateway.start()
        except BaseException:
            self.stop()
            raise

    @property
    def address(self) -> str:
        """Where strategies connect."""
        return self.gateway.url

    @property
    def token_file(self) -> Path | None:
        """The token, where it was told to lie somewhere."""
        return self.folder / "token" if "token_file" in self.gateway.config else None

    def environment(self) -> Mapping[str, str]:
        """What a strategy needs to find this gateway."""
        token = self.token_file
        return os.environ | ({"TRADINGSYS_TOKEN_FILE": str(token)} if token else {})

    def strategy(self, file: Path, *arguments: str) -> subprocess.Popen[str]:
        """Starts a strategy; what it prints comes through its pipe."""
        program = subprocess.Popen(
            [sys.executable, "-u", str(file), *arguments], cwd=self.folder, env=self.environment(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.strategies.append(program)
        return program

    def stop(self) -> None:
        """Ends everything, whatever became of it."""
        for program in self.strategies:
            program.kill()
            if program.stdout is not None and not program.stdout.closed:
                program.communicate()
        if self.gateway.process is not None:
            self.gateway.process.kill()
        self.exchange.kill()

    def leaks(self) -> list[str]:
        """Where a secret stands in what all of it has left."""
        return canary.leaks(self.folder, self.secrets | canary.tokens_in(self.folder))

    def logs(self) -> str:
        """What a failing test wants to see."""
        gateway = self.gateway.process.log() if self.gateway.process else ""
        parts = {"exchange": self.exchange.log(), "gateway": gateway}
        return "\n".join(f"--- {name}\n{text[-4000:]}" for name, text in parts.items())

    def orders(self, which: str = "open") -> list[dict[str, Any]]:
        """Orders of the account at the exchange; all there ever were with `all`."""
        state = self.exchange.control("GET", f"/control/state?orders={which}")
        (found,) = (account["orders"] for account in state["accounts"] if account["name"] == ACCOUNT)
        return list(found)

    def trades(self) -> list[dict[str, Any]]:
        """Trades of the account, from the exchange's own file."""
        file = self.folder / "sim" / "trades.jsonl"
        return [line for line in whole_lines(file) if line["account"] == ACCOUNT]

    def move(self, symbol: str, price: str) -> None:
        """Moves the market to a price."""
        self.exchange.control("POST", "/control/price", {"symbol": symbol, "price": price})

    def take(self, symbol: str, side: str, quantity: str, price: str) -> None:
        """The house enters an order."""
        order = {"symbol": symbol, "side": side, "qty": quantity, "price": price}
        self.exchange.control("POST", "/control/trade", order)

    def positions(self) -> dict[tuple[int, str], Decimal]:
        """Position by session and symbol, from `pos.db`, as a user reads it."""
        rows = self.gateway.sql("SELECT session_id, symbol, qty FROM position")
        return {(session, symbol): Decimal(str(quantity)) for session, symbol, quantity in rows}


def interrupt(program: subprocess.Popen[str]) -> tuple[int, str]:
    """Sends SIGINT as a user does; returns exit code and everything printed."""
    program.send_signal(signal.SIGINT)
    said, _ = program.communicate(timeout=PATIENCE)
    return program.returncode, said
