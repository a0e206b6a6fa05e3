"""What can go wrong, as exceptions. Every one has a stable `code` and `name`; its text says what to do."""


class Error(Exception):
    """Any error of this package. `code` is stable: docs/errors.md and docs/sdk.md list them.

    `retry_after` is the number of seconds after which the same may pass, where time alone helps.
    """

    code: int = 0
    name: str = "error"

    def __init__(
        self,
        message: str = "",
        code: int | None = None,
        name: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        if code is not None:
            self.code = code
        if name is not None:
            self.name = name


class ConnectError(Error, ConnectionError):
    """No gateway at the address."""

    code, name = -40001, "connect"


class LoginError(Error):
    """The gateway did not let the session in."""


class DuplicateLogin(LoginError):
    """The session has a live owner."""

    code, name = -10002, "duplicate_login"


class BadProof(LoginError):
    """Gateway and SDK read different tokens, or the token cannot be read."""

    code, name = -10006, "bad_proof"


class VersionMismatch(LoginError):
    """Gateway and SDK speak different versions of the protocol."""

    code, name = -10007, "version_mismatch"


class InvalidSession(LoginError, ValueError):
    """The session number is not within 0 to 65535."""

    code, name = -10010, "invalid_session"


class TakenOver(LoginError):
    """Another login took the session over."""

    code, name = -10011, "taken_over"


class RequestError(Error):
    """The gateway refused a request as it stands."""


class InvalidSymbol(RequestError):
    """The exchange does not trade such a symbol."""

    code, name = -10003, "invalid_symbol"


class InvalidStream(RequestError):
    """There is no such stream."""

    code, name = -10004, "invalid_stream"


class NonTrading(RequestError):
    """The session was made with trading=False."""

    code, name = -10005, "non_trading"


class OrderRefused(Error):
    """The gateway refused an order or a command; nothing was sent."""


class NotReady(OrderRefused):
    """Not yet: the gateway has not reached the exchange, or is comparing its books with it."""

    code, name = -20010, "not_ready"


class ExchangeError(Error):
    """The exchange refused, or cannot be asked now."""


class Disconnected(ExchangeError, ConnectionError):
    """There is no connection; nothing was sent."""

    code, name = -30002, "disconnected"


class WrongThread(Error, RuntimeError):
    """An engine and its sessions belong to the thread that runs the engine."""

    code, name = -40002, "wrong_thread"


class RequestTimeout(Error, TimeoutError):
    """The gateway did not reply in time."""

    code, name = -40003, "timeout"


class ProtocolError(Error):
    """The gateway sent what the protocol does not know."""

    code, name = -40004, "protocol"


class InvalidNumber(Error, ValueError):
    """Not a number that can be a price or a quantity."""

    code, name = -40005, "invalid_number"


class SessionClosed(Error):
    """The session is closed."""

    code, name = -40006, "closed"


class Busy(Error):
    """Too much waits for the socket or for answers; nothing was sent."""

    code, name = -40007, "busy"


class Misuse(Error, ValueError):
    """A call that cannot be made now, or with such arguments."""

    code, name = -40008, "misuse"


def _subclasses(root: type[Error]) -> list[type[Error]]:
    return [found for child in root.__subclasses__() for found in (child, *_subclasses(child))]


_BY_CODE = {found.code: found for found in _subclasses(Error) if found.code}


def error(code: int, name: str, message: str, retry_after: float | None = None) -> Error:
    """The exception of a code: of its own class if it has one, else of its family's."""
    family = {-1: RequestError, -2: OrderRefused, -3: ExchangeError}.get(-(-code // 10000), Error)
    return _BY_CODE.get(code, family)(message, code, name, retry_after)
