"""An exchange with both gateways: spot and futures side by side."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from support.processes import Gateway, free_port, whole_lines
from support.system import ACCOUNT, System

ZERO = Decimal(0)


class Both(System):
    """An exchange with a gateway for spot and one for futures, their tokens where strategies look."""

    def __init__(self, folder: Path, *options: str) -> None:
        # Ports that are still free where a test ends one of them and starts it again.
        local = [f"ws://localhost:{free_port()}" for _ in range(2)]
        super().__init__(folder, ["--ticks-per-second", "50", *options], token_file=None, local=local[0])
        self.usdt = Gateway(folder, self.exchange.listening, "usdt", local=local[1])
        del self.usdt.config["token_file"]
        self.usdt.write_config()
        try:
            self.usdt.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends everything."""
        usdt = getattr(self, "usdt", None)
        if usdt is not None and usdt.process is not None:
            usdt.process.kill()
        super().stop()

    def perpetual(self, symbol: str) -> Decimal:
        """The account's position, as the exchange has it."""
        state = self.exchange.control("GET", "/control/state")
        (futures,) = (entry["futures"] for entry in state["accounts"] if entry["name"] == ACCOUNT)
        rows = (row for row in futures["positions"] if row["symbol"] == symbol.upper())
        return sum((Decimal(row["qty"]) for row in rows), ZERO)

    def futures(self, file: str) -> list[dict[str, Any]]:
        """Lines of a file of the exchange."""
        path = self.folder / "sim" / f"futures_{file}.jsonl"
        return [line for line in whole_lines(path) if line["account"] == ACCOUNT]

    def move_perpetual(self, symbol: str, price: str) -> None:
        """Moves the perpetual's market to a price."""
        self.exchange.control("POST", "/control/futures/price", {"symbol": symbol, "price": price})
