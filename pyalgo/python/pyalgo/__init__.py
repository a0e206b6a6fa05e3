"""Write trading strategies in plain Python; a gateway trades them. docs/sdk.md explains every name.

    from pyalgo import *

    eng = Engine()
    session = eng.make_session(addr="ws://localhost:8111", session_id=1, name="first", trading=True)
    sub = session.subscribe("dogeusdt", "depth")
    sub.on_data = print
    eng.run()

Times are nanoseconds since the Unix epoch, UTC. Prices and quantities come as `float` and may be given as
`float`, `int`, `str` or `Decimal`; they travel and are kept as exact decimals.
"""

from ._core import (
    Balance,
    Bar,
    BarSubscription,
    Depth,
    DepthSubscription,
    Engine,
    Notice,
    Order,
    OrderError,
    Position,
    Product,
    Session,
    SessionState,
    SmartOrder,
    Subscription,
    Timer,
    Trade,
    TradeSubscription,
)
from ._enums import OrderState, OrderType, Phase, Side, Tif, WorkingType
from ._errors import (
    BadProof,
    Busy,
    ConnectError,
    Disconnected,
    DuplicateLogin,
    Error,
    ExchangeError,
    InvalidNumber,
    InvalidSession,
    InvalidStream,
    InvalidSymbol,
    LoginError,
    Misuse,
    NonTrading,
    OrderRefused,
    ProtocolError,
    RequestError,
    RequestTimeout,
    SessionClosed,
    TakenOver,
    VersionMismatch,
    WrongThread,
)
from ._log import debug, error, info, warn

__all__ = [
    "BadProof",
    "Balance",
    "Bar",
    "BarSubscription",
    "Busy",
    "ConnectError",
    "Depth",
    "DepthSubscription",
    "Disconnected",
    "DuplicateLogin",
    "Engine",
    "Error",
    "ExchangeError",
    "InvalidNumber",
    "InvalidSession",
    "InvalidStream",
    "InvalidSymbol",
    "LoginError",
    "Misuse",
    "NonTrading",
    "Notice",
    "Order",
    "OrderError",
    "OrderRefused",
    "OrderState",
    "OrderType",
    "Phase",
    "Position",
    "Product",
    "ProtocolError",
    "RequestError",
    "RequestTimeout",
    "Session",
    "SessionClosed",
    "SessionState",
    "Side",
    "SmartOrder",
    "Subscription",
    "TakenOver",
    "Tif",
    "Timer",
    "Trade",
    "TradeSubscription",
    "VersionMismatch",
    "WorkingType",
    "WrongThread",
    "debug",
    "error",
    "info",
    "warn",
]
