"""What a strategy does wrong is its own affair: the others trade on, and nothing of theirs is lost."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.processes import (
    PATIENCE,
    Client,
    Exchange,
    Frame,
    Gateway,
    Refused,
    ended,
    eventually,
    trading,
    whole_lines,
)
from support.strategies import StartStrategy, Strategy
from websockets.exceptions import ConnectionClosed

DEEDS = {"flood": 11, "nonsense": 12, "hang": 13, "crash": 14}
LIMITS = {"session": {"order_qty": {"*": "1000"}, "order_notional": {"USDT": "200"}, "price_band": "20"}}
# Late in a window what a session has not used of its part is anybody's, and the next is its own. The others
# tell of a machine that stood still: what it had of the exchange is old, and is there again in a moment.
PASSING = {"rate_limited", "limit_book", "not_ready", "disconnected", "clock_off"}


@contextmanager
def desk(folder: Path) -> Iterator[tuple[Exchange, Gateway]]:
    """An exchange with its usual order limits, and a gateway that holds sessions to theirs."""
    folder.mkdir()
    options = ("--ticks-per-second=20", "--weight-limit=100000", "--order-limit=100")
    token = str(folder.parent / "token")
    with trading(folder, *options, limits=LIMITS, token_file=token) as (exchange, gateway):
        yield exchange, gateway.start()


def last(file: Path, word: str) -> list[object] | None:
    """The last line of that kind."""
    text = file.read_text() if file.exists() else ""
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return next((line for line in reversed(lines) if line[0] == word), None)


def wishes(exchange: Exchange) -> Frame:
    """Terms of an order that rests, far below the best bid that the exchange's own REST tells."""
    bid = float(exchange.control("GET", "/api/v3/ticker/bookTicker?symbol=DOGEUSDT")["bidPrice"])
    return {"symbol": "dogeusdt", "side": "BUY", "type": "LIMIT", "price": f"{bid * 0.9:.4f}", "qty": "100"}


def passes(act: Callable[[], object]) -> bool:
    """Is it done? Not yet, if it was refused for what passes."""
    try:
        act()
    except Refused as refused:
        assert refused.error["name"] in PASSING, refused
        assert refused.error.get("retry_after_ms", 0) <= 10_600, refused.error
        return False
    return True


def life(client: Client, exchange: Exchange) -> list[str]:
    """The states of one order that is to rest and then to be cancelled; none if it was refused for now."""
    placed: list[str] = []
    if not passes(lambda: placed.append(client.order(**wishes(exchange)))):
        return []
    order, seen, until = placed[0], [], time.monotonic() + PATIENCE

    def told(frame: Frame) -> bool:
        assert time.monotonic() < until, f"nothing of {order} beyond {seen}"
        if frame.get("event") != "order" or frame["order"]["order_id"] != order:
            return False
        seen.append(frame["order"]["state"])
        return True

    def cancel() -> None:
        client.number += 1
        client.call("cancel", n=client.number - 1, order_id=order)

    if not ended(client.until(told), order):
        eventually(lambda: passes(cancel), "the cancel to be taken")
        client.until(lambda frame: told(frame) and ended(frame, order))
    return seen


def works(client: Client, exchange: Exchange) -> bool:
    """An order is taken, rests, is cancelled, and all of it told in order; what passes is tried again."""
    return bool(eventually(lambda: life(client, exchange) == ["NEW", "CANCELED"], "an order that rests"))


def watch(client: Client) -> None:
    """Waits until the gateway has best prices, by which it judges orders."""
    client.call("subscribe", streams=["dogeusdt@bbo"])
    client.until(lambda frame: frame.get("stream") == "dogeusdt@bbo" and "data" in frame)


def resting(exchange: Exchange) -> set[str]:
    """Orders that are open at the exchange."""
    (account,) = exchange.control("GET", "/control/state")["accounts"]
    return {order["clientOrderId"] for order in account["orders"]}


def turned_away(exchange: Exchange) -> set[int]:
    """How much of each market the exchange has refused for its limits."""
    return set(exchange.control("GET", "/control/state")["refused"].values())


def refused(file: Path) -> int:
    """How many orders a strategy was told are refused, with the reason's code."""
    heard = last(file, "heard") or ["heard", {}]
    return sum(count for what, count in heard[1].items() if what.startswith("REJECTED -"))


@pytest.mark.timeout(3_600)
def test_r61_r62_reckless_strategies_are_contained(strategy: StartStrategy, tmp_path: Path) -> None:
    """One floods, one asks for nonsense, one hangs, one dies, all at once: a fifth trades through it."""

    with desk(tmp_path / "desk") as (exchange, gateway):
        assert trades_through_it(exchange, gateway, strategy) == {0}, (
            "the exchange refused some for its limits"
        )


def trades_through_it(exchange: Exchange, gateway: Gateway, strategy: StartStrategy) -> set[int]:
    """All at once; how much the exchange has refused."""
    client = gateway.client(1)
    watch(client)
    assert works(client, exchange)
    files = {deed: gateway.folder / f"{deed}.jsonl" for deed in DEEDS}
    script = "strategies/reckless.py"
    running: dict[str, Strategy] = {
        deed: strategy(script, gateway.url, str(session), deed, str(files[deed]))
        for deed, session in DEEDS.items()
    }

    def meanwhile(deed: str, word: str) -> list[object]:
        """Trades until it is done."""
        done = eventually(
            lambda: works(client, exchange) and last(files[deed], word), f"{deed}: {word}", 4 * PATIENCE
        )
        return list(done)

    _, flooded = meanwhile("flood", "flooded")
    assert sum(flooded.values()) == 10_000, flooded
    assert 0 < flooded.get("sent", 0) <= 256, "no more wait for their answers at a time"
    _, asked = meanwhile("nonsense", "asked")
    for wanted, quantity, answer in asked:
        sound = all(math.isfinite(value) and value >= 0 for value in (float(wanted), float(quantity)))
        words = (wanted, quantity, answer)
        assert sound or answer == "invalid_number" or answer.startswith("held"), words
    owned = [meanwhile("hang", "hangs")[1], meanwhile("crash", "dies")[1]]
    eventually(lambda: running["crash"].popen.poll() is not None, "the crash")
    # Both are told what became of what they sent: more than the exchange takes of orders, and nonsense.
    eventually(lambda: refused(files["flood"]) >= 100, "the flood to be told")
    sent = sum(answer == "sent" for _, _, answer in asked)
    eventually(lambda: refused(files["nonsense"]) == sent, "the nonsense to be told")
    assert works(client, exchange)
    # What rests is what was taken, each order by the name of its session; what was nonsense never came there.
    orders = whole_lines(gateway.folder / "sim" / "orders.jsonl")
    placed = [order for order in orders if order["event"] == "NEW"]
    assert placed and {order["qty"] for order in placed} == {"100"}, "nothing else than the sound orders"
    # Those that hang or died are where they were: their orders rest, and a human can see whose they are.
    assert set(owned) <= resting(exchange), owned
    owners = {int(row[0]) for row in gateway.sql(OWNERS, "journal.db")}
    assert {DEEDS["hang"], DEEDS["crash"]} <= owners, owners
    assert running["hang"].popen.poll() is None and gateway.running.popen.poll() is None
    for process in running.values():
        process.kill()
    return turned_away(exchange)


OWNERS = "SELECT DISTINCT body ->> '$.session' FROM record WHERE kind = 'order'"


@pytest.mark.timeout(3_600)
def test_r66_a_client_that_sends_ten_thousand_orders_is_contained(tmp_path: Path) -> None:
    """Without the SDK, which would hold most of them back; what it is answered waits for it, or ends it."""

    with desk(tmp_path / "desk") as (exchange, gateway):
        assert ten_thousand(exchange, gateway) == {0}, "the exchange refused some for its limits"


def ten_thousand(exchange: Exchange, gateway: Gateway) -> set[int]:
    """Orders as fast as they can be sent; how much the exchange has refused."""
    client, flooder = gateway.client(1), gateway.client(2)
    watch(client)
    assert works(client, exchange) and works(flooder, exchange)
    order = wishes(exchange)
    sent = 0
    try:
        for n in range(flooder.number, flooder.number + 10_000):
            frame = {"id": n, "method": "order", "params": {"n": n} | order}
            flooder.socket.send(json.dumps(frame))
            sent += 1
            if sent % 2_000 == 0:
                assert works(client, exchange)
    except (ConnectionError, ConnectionClosed):
        pass
    assert works(client, exchange)
    assert sent > 100
    assert gateway.running.popen.poll() is None
    return turned_away(exchange)
