"""The words of trading, as enums whose members are their own wire text: `Side.BUY == "BUY"`."""

from enum import StrEnum


class Side(StrEnum):
    """Which side of the book."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """How an order meets the book."""

    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"
    MARKET = "MARKET"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"
    TRAILING_STOP = "TRAILING_STOP_MARKET"


class Tif(StrEnum):
    """Time in force: good till cancelled, immediate or cancel, fill or kill, good till a date."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


class WorkingType(StrEnum):
    """The price a conditional order watches: the last trade's, or the mark price."""

    LAST = "LAST"
    MARK = "MARK"


class OrderState(StrEnum):
    """Where an order stands. PENDING, UNKNOWN, NEW and PARTIALLY_FILLED are active; the others are final.

    PENDING: sent, nothing heard. UNKNOWN: it may or may not be at the exchange, and is being found out. A
    time-out is never REJECTED.
    """

    PENDING = "PENDING"
    UNKNOWN = "UNKNOWN"
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"

    @property
    def is_active(self) -> bool:
        """May anything still happen to an order in this state?"""
        return self in _ACTIVE


_ACTIVE = frozenset(
    (OrderState.PENDING, OrderState.UNKNOWN, OrderState.NEW, OrderState.PARTIALLY_FILLED),
)


class Phase(StrEnum):
    """What a strategy may call a part of the day."""

    AUCTION = "AUCTION"
    PRE_OPEN = "PRE_OPEN"
    OPEN = "OPEN"
    PRE_CLOSE = "PRE_CLOSE"
    CLOSE = "CLOSE"
    UNDEF = "UNDEF"
