"""The margin wallet as its owner sees it: signed requests beside the gateway, and the exchange's files."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from support.futures import Account
from support.processes import whole_lines

WALLET = "main/margin"


class Wallet(Account):
    """The cross-margin wallet of the account."""

    def fund(self, asset: str, amount: str) -> None:
        """Moves money of the spot wallet into it."""
        done = self.ask("POST", "/sapi/v1/asset/transfer", type="MAIN_MARGIN", asset=asset, amount=amount)
        assert "tranId" in done, done

    def state(self) -> dict[str, Any]:
        """Balances and loans, from the exchange's control interface: asking costs the gateway no weight."""
        accounts = self.exchange.control("GET", "/control/state")["accounts"]
        return dict(next(account["margin"] for account in accounts if account["name"] == "main"))

    def owed(self, asset: str) -> Decimal:
        """Borrowed, with the interest charged and not paid."""
        loans = [row for row in self.state()["loans"] if row["asset"] == asset]
        return sum((Decimal(row["borrowed"]) + Decimal(row["interest"]) for row in loans), Decimal(0))

    def net(self, asset: str) -> Decimal:
        """What it holds, less what it owes."""
        held = [row for row in self.state()["balances"] if row["asset"] == asset]
        free = sum((Decimal(row["free"]) + Decimal(row["locked"]) for row in held), Decimal(0))
        return free - self.owed(asset)

    def journal(self, name: str) -> list[dict[str, Any]]:
        """Lines of a file of the exchange about this wallet."""
        lines = whole_lines(self.folder / "sim" / f"{name}.jsonl")
        return [line for line in lines if line["account"] == WALLET]
