"""A running `binance-sim` for clients we did not write. These files run in an environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SYMBOL = "DOGEUSDT"


@dataclass
class Exchange:
    """The simulator's addresses, the keys of its accounts, and its control interface."""

    rest: str
    ws_api: str
    streams: str
    hmac_key: str
    hmac_secret: str
    ed_key: str
    ed_pem: str

    def control(self, what: str, body: Any) -> Any:
        """Asks the control interface."""
        request = urllib.request.Request(
            f"{self.rest}/control/{what}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)

    def price(self, price: str) -> None:
        """Moves the market; the house then quotes a tick to either side of the price."""
        self.control("price", {"symbol": SYMBOL, "price": price})

    def house(self, side: str, qty: str, price: str) -> None:
        """Lets the house take from the book."""
        self.control("trade", {"symbol": SYMBOL, "side": side, "qty": qty, "price": price})

    def futures_house(self, side: str, qty: str, price: str) -> None:
        """Lets the house take from the book of the perpetual."""
        self.control("futures/trade", {"symbol": SYMBOL, "side": side, "qty": qty, "price": price})

    def balances(self, account: str) -> dict[str, Decimal]:
        """What an account owns, free and locked."""
        with urllib.request.urlopen(f"{self.rest}/control/state", timeout=120) as reply:
            state = json.load(reply)
        mine = next(row for row in state["accounts"] if row["name"] == account)
        return {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in mine["balances"]}


@pytest.fixture(scope="session")
def keys() -> tuple[str, str]:
    """An Ed25519 pair: private and public PEM."""
    private = Ed25519PrivateKey.generate()
    return (
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    )


@pytest.fixture
def exchange(tmp_path: Path, keys: tuple[str, str]) -> Iterator[Exchange]:
    """A simulator with a market that stands still until a test moves it, and one account per kind of key."""
    private, public = keys
    accounts = [
        {"name": "hmac", "apikey": "HMACKEY" * 8, "hmac_secret": "s3cret" * 8},
        {"name": "ed", "apikey": "EDKEY" * 10, "public_key_pem": public},
    ]
    file = tmp_path / "accounts.json"
    file.write_text(json.dumps(accounts), encoding="utf-8")
    binary = Path(os.environ["TRADINGSYS_BIN_DIR"]) / "binance-sim"
    command = [binary, "--port", "0", "--accounts", file, "--ticks-per-second", "0", "--seed", "7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = json.loads(process.stdout.readline())
            exchange = Exchange(
                rest=address["rest"],
                ws_api=address["ws_api"],
                streams=address["streams"],
                hmac_key=str(accounts[0]["apikey"]),
                hmac_secret=str(accounts[0]["hmac_secret"]),
                ed_key=str(accounts[1]["apikey"]),
                ed_pem=private,
            )
            exchange.price("0.2")
            # An hour may end amid a test: interest is charged where one wants it, and nowhere else.
            exchange.control("margin/interest", {"interval_ms": 10**12})
            yield exchange
        finally:
            process.terminate()
            process.wait(120)
