"""The futures account as its owner sees it: signed requests beside the gateway, and the exchange's files."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

from support.processes import APIKEY, PATIENCE, Exchange, whole_lines


class Account:
    """Signs with the key in the folder, by `openssl`."""

    def __init__(self, folder: Path, exchange: Exchange) -> None:
        self.folder = folder
        self.exchange = exchange

    def ask(self, method: str, path: str, **params: object) -> Any:
        """The answer to a signed request; its error's body, if it is refused."""
        query = urllib.parse.urlencode(params | {"timestamp": int(time.time() * 1000)})
        (self.folder / "query").write_text(query)
        command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", "private_key.pem", "-in", "query"]
        signature = subprocess.run(command, cwd=self.folder, check=True, capture_output=True).stdout
        signed = f"{query}&signature={urllib.parse.quote(base64.b64encode(signature).decode(), safe='')}"
        url = f"{self.exchange.listening['rest']}{path}?{signed}"
        request = urllib.request.Request(url, method=method, headers={"X-MBX-APIKEY": APIKEY})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def state(self) -> dict[str, Any]:
        """Wallet and positions, from the exchange's control interface: asking costs the gateway no weight."""
        accounts = self.exchange.control("GET", "/control/state")["accounts"]
        return dict(next(account["futures"] for account in accounts if account["name"] == "main"))

    def position(self, symbol: str) -> Decimal:
        """The account's signed position."""
        rows = [row for row in self.state()["positions"] if row["symbol"] == symbol.upper()]
        return sum((Decimal(row["qty"]) for row in rows), Decimal(0))

    def wallet(self) -> Decimal:
        """The account's USDT."""
        return Decimal(self.state()["wallet"])

    def journal(self, name: str) -> list[dict[str, Any]]:
        """Lines of a file of the exchange."""
        return whole_lines(self.folder / "sim" / f"futures_{name}.jsonl")
