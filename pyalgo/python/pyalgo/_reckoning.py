"""The books anew, from the journal's records alone: what `pos.db` must show.

Written from docs/ledger.md and sharing nothing with the gateway, so that one judges the other. Amounts are
integers of 10^-10. Average price and profit are reckoned with sixty digits; the gateway rounds at each step,
so they are compared within what that can come to.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext
from typing import Any

Body = dict[str, Any]
ONE = 10**10
EXTERNAL, UNATTRIBUTED, CLEARING = "external", "unattributed", "clearing"
_EXACT = Context(prec=60)


def units(text: str | None) -> int:
    """A decimal text in units of 10^-10."""
    return int(Decimal(text or "0").scaleb(10, _EXACT))


def shown(amount: int) -> str:
    """Such an amount as the gateway writes it."""
    sign, size = "-" if amount < 0 else "", abs(amount)
    return f"{sign}{size // ONE}.{size % ONE:010d}".rstrip("0").rstrip(".")


def owner_of(body: Body) -> str:
    """Whose a row is: a session's number, or one of the words."""
    owner = body["owner"]
    return str(owner["session"]) if isinstance(owner, dict) else str(owner)


@dataclass(frozen=True)
class Step:
    """One change of a position: a fill with its fee in what is held, or an edit."""

    at: tuple[int, int]
    signed: int
    quote: int = 0
    fee: int = 0
    edited: bool = False
    price: str | None = None


@dataclass
class Totals:
    """Where a position stands after its steps, and how far the gateway's roundings may have led it away."""

    qty: int = 0
    cost: Decimal = Decimal(0)
    realised: Decimal = Decimal(0)
    slack: Decimal = Decimal(0)

    @property
    def average(self) -> Decimal:
        """Average entry price; zero when flat."""
        return self.cost / self.qty if self.qty else Decimal(0)

    def take(self, step: Step) -> None:
        """Takes a step in."""
        before = abs(self.qty)
        if step.edited:
            price = self.average if step.price is None else Decimal(step.price)
            self.qty += step.signed
            self.cost = price * self.qty
            if step.price is None and before:
                # The average stays, and a rounding of what little was held counts for all that is held now.
                self.slack = (self.slack + 1) * max(Decimal(1), Decimal(abs(self.qty)) / before)
        else:
            paid = Decimal(step.quote if step.signed > 0 else -step.quote)
            self._move(step.signed, paid, profit=True)
            # A fee makes no profit: what is held goes at its average, more comes at its fill's price.
            worth = Decimal(step.quote) / abs(step.signed) * -step.fee if step.signed else Decimal(0)
            self._move(-step.fee, worth, profit=False)
        self.slack += 2 + 2 * Decimal(before + abs(self.qty)) / ONE

    def _move(self, signed: int, value: Decimal, *, profit: bool) -> None:
        """So much more, for so much; first what is held the other way goes, at its average."""
        if not signed:
            return
        gone = min(abs(signed), abs(self.qty)) if (self.qty < 0) != (signed < 0) else 0
        value_gone = value * gone / abs(signed)
        cost_gone = self.cost * gone / abs(self.qty) if gone else Decimal(0)
        if profit:
            self.realised -= value_gone + cost_gone
        self.cost += value - value_gone - cost_gone
        self.qty += signed


@dataclass
class Listing:
    """Assets of a symbol."""

    quote: str
    holding: str


@dataclass
class Books:
    """All books, record by record."""

    listings: dict[str, Listing] = field(default_factory=dict)
    assets: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    fees: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    steps: dict[tuple[str, str], list[Step]] = field(default_factory=lambda: defaultdict(list))
    parts: dict[tuple[Any, ...], Body] = field(default_factory=dict)
    booked: set[tuple[Any, ...]] = field(default_factory=set)

    def take(self, kind: str, body: Body) -> None:
        """Takes a record in; those that move nothing change nothing."""
        book = getattr(self, f"_take_{kind}", None)
        if book is not None:
            book(body)

    def position(self, session: str, symbol: str) -> Totals:
        """A session's position, its steps in the exchange's order."""
        totals = Totals()
        with localcontext(_EXACT):
            for step in sorted(self.steps[session, symbol], key=lambda step: step.at):
                totals.take(step)
        return totals

    def liabilities(self, asset: str) -> int:
        """What sessions and EXTERNAL owe of an asset: their negative rows."""
        never = (UNATTRIBUTED, CLEARING)
        rows = (amount for (who, name), amount in self.assets.items() if name == asset and who not in never)
        return -sum(amount for amount in rows if amount < 0)

    def _take_listing(self, body: Body) -> None:
        self.listings[body["symbol"]] = Listing(body["quote"], body.get("holding") or body["base"])

    def _take_fill(self, body: Body) -> None:
        key = (body["symbol"], body["trade_id"], body["venue_id"])
        listing = self.listings.get(body["symbol"])
        if key in self.booked or listing is None:
            return
        self.booked.add(key)
        session = body["session"]
        owner = EXTERNAL if session is None else str(session)
        signed, paid, fee = self._move(owner, listing, body, 1)
        if body.get("realised") is not None:
            self.assets[CLEARING, listing.quote] += units(body["realised"]) - paid
        if session is not None:
            if body.get("fee_asset"):
                self.fees[owner, body["fee_asset"]] += fee
            held = fee if body.get("fee_asset") == listing.holding else 0
            at = (body["time"], body["trade_id"])
            self.steps[owner, body["symbol"]].append(Step(at, signed, units(body["quote"]), held))

    def _move(self, owner: str, listing: Listing, body: Body, sign: int) -> tuple[int, int, int]:
        """A fill's quantity, money and fee, in an owner's rows; all three signed as they count for it."""
        signed = units(body["qty"]) * (1 if body["side"] == "BUY" else -1)
        paid = units(body["quote"]) * (-1 if body["side"] == "BUY" else 1)
        fee = units(body["fee"])
        self.assets[owner, listing.holding] += sign * signed
        self.assets[owner, listing.quote] += sign * paid
        if body.get("fee_asset"):
            self.assets[owner, body["fee_asset"]] -= sign * fee
        return signed, paid, fee

    def _take_cash(self, body: Body) -> None:
        self.assets[owner_of(body), body["asset"]] += units(body["delta"])

    _take_charge = _take_cash

    def _take_adjust(self, body: Body) -> None:
        session, symbol, delta = str(body["session"]), body["symbol"], units(body["delta"])
        if listing := self.listings.get(symbol):
            self.assets[session, listing.holding] += delta
            self.assets[UNATTRIBUTED, listing.holding] -= delta
        step = Step((body["time"], 0), delta, edited=True, price=body.get("avg_price"))
        self.steps[session, symbol].append(step)

    def _take_allocation(self, body: Body) -> None:
        listing = self.listings.get(body["symbol"])
        key = (body["symbol"], body["trade_id"], body["venue_id"], body["session"])
        before = self.parts.get(key)
        if listing is None or before == body:
            return
        self.parts[key] = body
        if before is not None:
            self._part(listing, before, -1)
            steps = self.steps[str(body["session"]), body["symbol"]]
            if _step(before) in steps:
                steps.remove(_step(before))
        self._part(listing, body, 1)
        if units(body["qty"]):
            self.steps[str(body["session"]), body["symbol"]].append(_step(body))

    def _part(self, listing: Listing, body: Body, sign: int) -> None:
        session = str(body["session"])
        self._move(session, listing, body, sign)
        self._move(EXTERNAL, listing, body, -sign)
        if body.get("fee_asset"):
            self.fees[session, body["fee_asset"]] += sign * units(body["fee"])


def _step(body: Body) -> Step:
    signed = units(body["qty"]) * (1 if body["side"] == "BUY" else -1)
    return Step((body["time"], body["trade_id"]), signed, units(body["quote"]))
