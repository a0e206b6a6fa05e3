"""What the books of a gateway say, and what the exchange's own files say: read from two sides, then compared.

The exchange's side is the account it shows and its trade file. The gateway's side is `pos.db` and
`journal.db`, as any user may read them. Neither knows of the other.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

ZERO = Decimal(0)
# Digits and consonants: what client order ids are written with (src/ids.rs).
ID_ALPHABET = "0123456789bcdfghjkmnpqrstvwxyz"
READ_TIMEOUT_S = 60


class Unreadable(Exception):
    """The gateway's files are not there yet, or busy."""


Amounts = dict[str, Decimal]
FillKey = tuple[str, int, int]


@dataclass(frozen=True)
class Trade:
    """One side of a trade, as the exchange wrote it down."""

    key: FillKey
    session: int | None


@dataclass
class SessionBooks:
    """What the gateway has booked for one session."""

    session: int
    orders: int = 0
    fills: int = 0
    positions: Amounts = field(default_factory=dict)
    fees: Amounts = field(default_factory=dict)
    realised: Amounts = field(default_factory=dict)


@dataclass(frozen=True)
class TieOut:
    """One asset: what the gateway knows of it, and what the exchange has."""

    asset: str
    sessions: Decimal
    external: Decimal
    unattributed: Decimal
    exchange: Decimal
    # What open positions cost, as the exchange counts it: it books profit only when one is closed.
    clearing: Decimal = ZERO

    @property
    def whole(self) -> Decimal:
        """The sum of the parts."""
        return self.sessions + self.external + self.unattributed + self.clearing

    @property
    def holds(self) -> bool:
        """The parts add up to the whole, and every part has an owner."""
        return self.whole == self.exchange and self.unattributed == ZERO


def session_of(client_order_id: str) -> int | None:
    """The session an order id names; None for an id of another system."""
    if len(client_order_id) < 22 or client_order_id[6] != "-" or client_order_id[16] != "-":
        return None
    number = 0
    for char in client_order_id[12:16]:
        digit = ID_ALPHABET.find(char)
        if digit < 0:
            return None
        number = number * 30 + digit
    return number


def trades(exchange: Path, account: str, file: str = "trades.jsonl") -> list[Trade]:
    """The trades of an account, from a file of the exchange."""
    return [
        Trade(
            key=(line["symbol"].lower(), int(line["trade_id"]), int(line["order_id"])),
            session=session_of(line["client_order_id"]),
        )
        for line in _lines(exchange / file)
        if line["account"] == account
    ]


def exchange_account(rest: str, account: str) -> tuple[Amounts, int]:
    """What the exchange says the account owns, free or locked, and how many of its orders are open."""
    with urllib.request.urlopen(f"{rest}/control/state", timeout=READ_TIMEOUT_S) as reply:
        accounts = json.load(reply)["accounts"]
    ours = next(entry for entry in accounts if entry["name"] == account)
    owned = {line["asset"]: Decimal(line["free"]) + Decimal(line["locked"]) for line in ours["balances"]}
    return owned, len(ours["orders"])


def futures_account(rest: str, account: str) -> tuple[Amounts, int]:
    """The account's futures wallet, its positions by contract, and how many of its orders are open there."""
    with urllib.request.urlopen(f"{rest}/control/state", timeout=READ_TIMEOUT_S) as reply:
        accounts = json.load(reply)["accounts"]
    futures = next(entry for entry in accounts if entry["name"] == account)["futures"]
    held = {line["symbol"]: Decimal(line["qty"]) for line in futures["positions"]}
    return {"USDT": Decimal(futures["wallet"])} | held, len(futures["orders"])


def tie_out(gateway: Path, exchange: Amounts) -> list[TieOut]:
    """Each asset of either side."""
    owners: dict[str, Amounts] = {}
    with _reading(gateway / "pos.db") as database:
        for owner, asset, amount in database.execute("SELECT owner, asset, amount FROM _asset"):
            owners.setdefault(asset, {})[owner] = Decimal(amount)
    named = ("external", "unattributed", "clearing")
    return [
        TieOut(
            asset=asset,
            sessions=sum((amount for owner, amount in parts.items() if owner not in named), ZERO),
            external=parts.get("external", ZERO),
            unattributed=parts.get("unattributed", ZERO),
            exchange=exchange.get(asset, ZERO),
            clearing=parts.get("clearing", ZERO),
        )
        for asset in sorted(set(owners) | {asset for asset, amount in exchange.items() if amount})
        for parts in [owners.get(asset, {})]
    ]


def fill_differences(gateway: Path, exchange: list[Trade]) -> list[str]:
    """Trades that are not booked exactly once, under the session that their order's id names."""
    with _reading(gateway / "journal.db") as database:
        rows = database.execute("SELECT symbol, trade_id, venue_id, session FROM fill").fetchall()
    booked = Counter(((symbol, trade, order), session) for symbol, trade, order, session in rows)
    happened = Counter((trade.key, trade.session) for trade in exchange)
    missing = [f"not booked: {_fill(*fill)}" for fill in sorted(happened - booked, key=repr)]
    return missing + [
        f"booked but not traded: {_fill(*fill)}" for fill in sorted(booked - happened, key=repr)
    ]


def fills_booked(gateway: Path) -> int:
    """How many fills the journal holds."""
    with _reading(gateway / "journal.db") as database:
        (count,) = database.execute("SELECT count(*) FROM fill").fetchone()
        return int(count)


def sessions_so_far(gateway: Path) -> list[SessionBooks]:
    """All sessions as the journal has them, which can be read at any time without anybody waiting."""
    found: dict[int, SessionBooks] = {}
    with _reading(gateway / "journal.db") as database:
        for session, count in database.execute("SELECT session, count(*) FROM orders GROUP BY session"):
            if session is not None:
                found[session] = SessionBooks(session, orders=count)
        fills = database.execute("SELECT session, symbol, side, qty, fee, fee_asset FROM fill").fetchall()
    for session, symbol, side, qty, fee, fee_asset in fills:
        if session in found:
            books = found[session]
            books.fills += 1
            signed = Decimal(qty) if side == "BUY" else -Decimal(qty)
            paid = Decimal(fee) if symbol.startswith((fee_asset or "?").lower()) else ZERO
            books.positions[symbol] = books.positions.get(symbol, ZERO) + signed - paid
            if fee_asset:
                books.fees[fee_asset] = books.fees.get(fee_asset, ZERO) + Decimal(fee)
    return [found[session] for session in sorted(found)]


def sessions(gateway: Path) -> list[SessionBooks]:
    """All sessions as the gateway shows them."""
    found: dict[int, SessionBooks] = {}

    def of(session: int) -> SessionBooks:
        return found.setdefault(session, SessionBooks(session))

    with _reading(gateway / "journal.db") as database:
        for session, count in database.execute("SELECT session, count(*) FROM orders GROUP BY session"):
            if session is not None:
                of(session).orders = count
        for session, count in database.execute("SELECT session, count(*) FROM fill GROUP BY session"):
            if session is not None:
                of(session).fills = count
    with _reading(gateway / "pos.db") as database:
        for session, symbol, qty in database.execute("SELECT session_id, symbol, qty FROM position"):
            of(session).positions[symbol] = Decimal(qty)
        for session, asset, amount in database.execute("SELECT session_id, asset, amount FROM _fee"):
            of(session).fees[asset] = Decimal(amount)
        for session, quote, amount in database.execute("SELECT session_id, quote, realised FROM _profit"):
            realised = of(session).realised
            realised[quote] = realised.get(quote, ZERO) + Decimal(amount)
    return [found[session] for session in sorted(found)]


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    database = None
    try:
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=READ_TIMEOUT_S)
        yield database
    except sqlite3.OperationalError as error:
        raise Unreadable(f"{path.name}: {error}") from error
    finally:
        if database is not None:
            database.close()


def _lines(path: Path) -> Iterator[dict[str, str]]:
    if path.exists():
        with path.open(encoding="utf-8") as file:
            yield from (json.loads(line) for line in file)


def _fill(key: FillKey, session: int | None) -> str:
    symbol, trade, order = key
    return f"{symbol} trade {trade} of order {order}, session {session}"
