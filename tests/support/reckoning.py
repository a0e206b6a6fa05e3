"""What each owner should have, from the exchange's files alone and by the rules of docs/ledger.md.

Plain decimals and nothing of the project's code: the oracle of the tests that compare books to the last unit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Any

EXTERNAL = "external"
UNIT = Decimal("1e-8")
ZERO = Decimal(0)
Row = dict[str, Any]
FORCED = ("LIQUIDATION", "ADL", "SETTLEMENT")


def signed(trade: Row) -> Decimal:
    """Quantity, negative for a sale."""
    return Decimal(trade["qty"]) * (1 if trade["side"] == "BUY" else -1)


def place(owner: str) -> tuple[int, int]:
    """Sessions by their number, then what is nobody's."""
    return (1, 0) if owner == EXTERNAL else (0, int(owner))


def split(total: Decimal, weights: Mapping[str, Decimal], grain: Decimal) -> dict[str, Decimal]:
    """In proportion, in whole grains, the rest at the largest."""
    whole = sum(weights.values())
    if not whole:
        return {}
    with localcontext() as exact:
        exact.prec = 60
        parts = {
            owner: (total * weight / whole / grain).quantize(Decimal(1), ROUND_DOWN) * grain
            for owner, weight in weights.items()
        }
    largest = min(weights, key=lambda owner: (-weights[owner], place(owner)))
    parts[largest] += total - sum(parts.values())
    return parts


def closed(qty: Decimal, held: Mapping[str, Decimal], lot: Decimal) -> dict[str, Decimal]:
    """As `split`, but nobody is closed beyond what it held; what nobody held is EXTERNAL's."""
    given = min(qty, sum(held.values(), ZERO))
    parts = split(given, held, lot)
    rest = ZERO
    for owner in sorted(held, key=lambda owner: (-held[owner], place(owner))):
        wanted = parts[owner] + rest
        parts[owner] = min(wanted, held[owner])
        rest = wanted - parts[owner]
    parts[EXTERNAL] = parts.get(EXTERNAL, ZERO) + qty - given
    return parts


@dataclass
class Reckoning:
    """All rows, by owner and asset."""

    rows: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    funding: dict[tuple[str, int], dict[str, Decimal]] = field(default_factory=dict)
    parts: list[tuple[Row, dict[str, Decimal]]] = field(default_factory=list)

    def held(self, symbol: str) -> dict[str, Decimal]:
        """Who holds what of a contract."""
        rows = {owner: amount for (owner, asset), amount in self.rows.items() if asset == symbol}
        return {owner: amount for owner, amount in rows.items() if amount}

    def trade(self, trade: Row, owner: str, lot: Decimal) -> None:
        """A fill: of its owner, or of all who held what the exchange has ended."""
        qty, price, fee = Decimal(trade["qty"]), Decimal(trade["price"]), Decimal(trade["commission"])
        quantities, fees = {owner: qty}, {owner: fee}
        if trade["origin"] in FORCED:
            closes_longs = trade["side"] == "SELL"
            held = {who: abs(n) for who, n in self.held(trade["symbol"]).items() if (n > 0) == closes_longs}
            quantities = closed(qty, held, lot)
            fees = split(fee, quantities, UNIT)
            self.parts.append((trade, quantities))
        sign = 1 if trade["side"] == "BUY" else -1
        for who, part in quantities.items():
            self.rows[who, trade["symbol"]] += sign * part
            self.rows[who, "USDT"] -= sign * part * price + fees.get(who, ZERO)

    def fund(self, rate: Row, paid: Decimal) -> None:
        """Funding by what each holds: each share cut, the rest at the largest."""
        held = self.held(rate["symbol"])
        shares = {
            owner: -(amount * Decimal(rate["mark"]) * Decimal(rate["rate"])).quantize(UNIT, ROUND_DOWN)
            for owner, amount in held.items()
        }
        if held:
            largest = min(held, key=lambda owner: (-abs(held[owner]), place(owner)))
            shares[largest] += paid - sum(shares.values())
        for owner, share in shares.items():
            self.rows[owner, "USDT"] += share
        self.funding[rate["symbol"], rate["time"]] = {who: share for who, share in shares.items() if share}

    def other(self, booking: Row) -> None:
        """Money that came or went otherwise."""
        amount, weights = Decimal(booking["amount"]), {EXTERNAL: Decimal(1)}
        if booking["kind"] == "INSURANCE_CLEAR" and self.parts:
            last = self.parts[-1][0]["order_id"]
            of_last = [part for trade, part in self.parts if trade["order_id"] == last]
            weights = {
                owner: sum((part.get(owner, ZERO) for part in of_last), ZERO)
                for part in of_last
                for owner in part
            }
        for owner, share in split(amount, weights, UNIT).items():
            self.rows[owner, "USDT"] += share


def reckon(
    trades: Iterable[Row],
    rates: Iterable[Row],
    income: Iterable[Row],
    owners: Mapping[str, str],
    lots: Mapping[str, str],
) -> Reckoning:
    """Everything in the exchange's order. `owners` says whose a client order id is; others are EXTERNAL's."""
    bookings, rates = list(income), list(rates)
    paid: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    for row in bookings:
        if row["kind"] == "FUNDING_FEE":
            # A payment is booked when it is made, at its funding's instant or moments later.
            due = [r["time"] for r in rates if r["symbol"] == row["symbol"] and r["time"] <= row["time"]]
            paid[row["symbol"], max(due)] += Decimal(row["amount"])
    by_trading = ("FUNDING_FEE", "REALIZED_PNL", "COMMISSION")
    # Funding is of who held before that instant; what else is paid comes after the trades of its instant.
    facts: list[tuple[tuple[int, int, int], str, Row]] = []
    facts += [((row["time"], 0, 0), "rate", row) for row in rates]
    facts += [((row["time"], 1, row["trade_id"]), "trade", row) for row in trades]
    others = [row for row in bookings if row["kind"] not in by_trading]
    facts += [((row["time"], 2, row["id"]), "other", row) for row in others]
    found = Reckoning()
    for _, kind, row in sorted(facts, key=lambda fact: fact[0]):
        if kind == "rate":
            found.fund(row, paid[row["symbol"], row["time"]])
        elif kind == "trade":
            owner = owners.get(row["client_order_id"], EXTERNAL)
            found.trade(row, owner, Decimal(lots[row["symbol"]]))
        else:
            found.other(row)
    return found
