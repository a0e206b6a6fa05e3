"""How one session that trades one symbol comes out, by the exchange's own trade file."""

from __future__ import annotations

from decimal import Decimal

from support.processes import Client, Gateway, eventually, whole_lines

SYMBOL = "dogeusdt"


def held(gateway: Gateway) -> Decimal:
    """What the exchange's trades come to, less what was paid in the asset itself."""
    total = Decimal(0)
    for trade in whole_lines(gateway.folder / "sim" / "trades.jsonl"):
        if trade["account"] == "main" and trade["symbol"] == SYMBOL.upper():
            total += Decimal(trade["qty"]) * (1 if trade["side"] == "BUY" else -1)
            total -= Decimal(trade["commission"]) if trade["commission_asset"] == "DOGE" else 0
    return total


def net(client: Client) -> Decimal:
    """What the gateway says the session holds."""
    rows = client.call("positions")["positions"]
    return sum((Decimal(row["net"]) for row in rows if row["symbol"] == SYMBOL), Decimal(0))


def comes_out_even(gateway: Gateway, client: Client) -> None:
    """Gateway, pos.db and exchange agree, and the files hold together."""
    eventually(lambda: net(client) == held(gateway), "the position to be the exchange's")
    eventually(lambda: Decimal(gateway.position() or 0) == held(gateway), "pos.db to show it")
    assert gateway.running.end() == 143
    verified = gateway.run("verify", "-c=spot.json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
