"""The kill switch over real processes, and what becomes of the orders of a strategy that hangs or dies.

What is open is asked of the exchange itself.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.processes import Client, Exchange, Gateway, Refused, eventually, trading
from support.strategies import StartStrategy

FAR = ["0.150", "0.151", "0.152", "0.153", "0.154", "0.155"]
# Far less than an answer is waited for: whoever waits before the other way is tried takes longer. That it is
# a second, and the way there and back, is shown in virtual time (world/tests/bounds/stop.rs); here it is
# printed.
WITHIN = 5.0
SEED = os.environ.get("TRADINGSYS_SEED")
SEEDS = range(20) if SEED is None else [int(SEED)]
FAULTS: dict[str, list[dict[str, Any]]] = {
    "nothing": [],
    "the websockets are cut and refused": [
        {"fault": "connection.refuse", "side": "api"},
        {"fault": "connection.abort", "side": "api"},
    ],
    "the websockets are silent": [{"fault": "connection.half_open", "side": "api"}],
    "cancels are lost": [{"fault": "request.drop", "side": "api", "method": "order.cancel"}],
    "replies to cancels are lost": [{"fault": "reply.drop", "side": "api", "method": "order.cancel"}],
    "cancels are answered with an error": [
        {"fault": "reply.error", "side": "api", "method": "order.cancel", "code": -1007}
    ],
    "private events are lost": [{"fault": "event.drop"}],
    "questions find nothing": [{"fault": "query.not_found"}],
}
NO_REQUESTS = "requests are refused"
DISK_FULL = "the disk is full"


@contextmanager
def killable(folder: Path, **endpoints: str) -> Iterator[tuple[Exchange, Gateway]]:
    """An exchange and a gateway that has both ways to it."""
    with trading(folder, "--ticks-per-second=0", "--order-limit=100000", "--weight-limit=1000000") as both:
        exchange, gateway = both
        gateway.config["endpoints"]["rest"] = exchange.listening["rest"]
        gateway.config["endpoints"] |= endpoints
        gateway.write_config()
        yield both


def open_orders(exchange: Exchange) -> list[dict[str, Any]]:
    """Open orders of the account, as the exchange has them."""
    (account,) = exchange.control("GET", "/control/state?orders=open")["accounts"]
    return list(account["orders"])


def rests(client: Client, count: int) -> list[str]:
    """Sends orders that rest."""
    return [client.order(type="LIMIT", tif="GTC", price=price, qty="70") for price in FAR[:count]]


def pull(gateway: Gateway, trigger: str) -> None:
    """Pulls the switch."""
    if trigger == "file":
        (gateway.folder / str(gateway.config["db"]) / "KILL").touch()
    else:
        gateway.running.popen.send_signal(signal.SIGUSR1)


def refusal(client: Client) -> str:
    """The name under which an order is refused; empty if it is taken."""
    try:
        client.order(type="LIMIT", tif="GTC", price="0.149", qty="70")
    except Refused as refused:
        return str(refused.error["name"])
    return ""


@pytest.mark.parametrize("seed", SEEDS)
def test_r60_the_kill_switch_empties_the_exchange_while_something_is_wrong(tmp_path: Path, seed: int) -> None:
    """By file or by signal; it stays off after a restart."""
    rng = random.Random(seed)
    trigger = ["file", "signal"][seed % 2]
    names = [*FAULTS, NO_REQUESTS, DISK_FULL]
    name = names[seed // 2 % len(names)]
    print(f"{name}, by {trigger}; replay: TRADINGSYS_SEED={seed} pytest {__file__} -k empties")
    # A machine that stands still takes its time, too; who waits for an answer does so every time.
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        if (took := emptied(folder, rng, trigger, name)) < WITHIN:
            return
    pytest.fail(f"all gone only after {took:.2f} s, at the fourth time")


def emptied(folder: Path, rng: random.Random, trigger: str, name: str) -> float:
    """Orders that rest, something goes wrong, the switch is pulled: after how long nothing is open."""
    shut = {"rest": "http://127.0.0.1:9"} if name == NO_REQUESTS else {}
    with killable(folder, **shut) as (exchange, gateway):
        gateway.start()
        client = gateway.client()
        rests(client, rng.randrange(2, len(FAR) + 1))
        eventually(lambda: len(open_orders(exchange)) >= 2, "orders that rest")
        if rules := FAULTS.get(name):
            exchange.control("POST", "/control/faults", rules)
        if name == DISK_FULL:
            fill_the_disk(gateway)
        time.sleep(rng.random() / 5)  # known to be wrong already, or not yet
        began = time.monotonic()
        pull(gateway, trigger)
        eventually(lambda: not open_orders(exchange), "no order to be open")
        took = time.monotonic() - began
        print(f"all gone after {took:.2f} s")
        # Cancels do not wait for the file that outlives the gateway.
        eventually((gateway.folder / str(gateway.config["db"]) / "KILL").exists, "the switch to be kept")
        gateway.running.kill()
        exchange.control("DELETE", "/control/faults")
        gateway.start()
        assert refusal(gateway.client()) == "killed"
        (gateway.folder / str(gateway.config["db"]) / "KILL").unlink()
        eventually(lambda: gateway.logged("the kill switch is cleared"), "the switch to be cleared")
        assert refusal(gateway.client(2)) == ""
        return took


def fill_the_disk(gateway: Gateway) -> None:
    """No file of the gateway grows any more: what a full disk looks like to it."""
    # Its login is written to the journal, too.
    filler = gateway.client(9)
    folder = gateway.folder / str(gateway.config["db"])
    largest = max(path.stat().st_size for path in folder.iterdir())
    resource.prlimit(gateway.running.popen.pid, resource.RLIMIT_FSIZE, (largest, largest))
    for _ in range(2_000):
        try:
            filler.order(type="LIMIT", tif="IOC", price="0.1", qty="70")
        except Refused:
            return


def test_r60_with_no_way_open_the_cancels_leave_when_one_opens(tmp_path: Path) -> None:
    """The exchange turns every connection away; once it is back, the orders are gone."""
    with killable(tmp_path, rest="http://127.0.0.1:9") as (exchange, gateway):
        gateway.start()
        rests(gateway.client(), 4)
        eventually(lambda: len(open_orders(exchange)) == 4, "orders that rest")
        exchange.control("POST", "/control/faults", FAULTS["the websockets are cut and refused"])
        pull(gateway, "signal")
        eventually(lambda: gateway.logged("the kill switch is on"), "the switch to be on")
        time.sleep(1)  # the time itself is the test: nothing can leave
        assert len(open_orders(exchange)) == 4
        exchange.control("DELETE", "/control/faults")
        eventually(lambda: not open_orders(exchange), "no order to be open")


def test_r60_flattening_sells_what_the_session_holds(tmp_path: Path) -> None:
    """`echo flatten > KILL`: orders are cancelled, then what was bought is sold."""
    with killable(tmp_path) as (exchange, gateway):
        gateway.start()
        client = gateway.client()
        client.buy("200")
        eventually(lambda: float(gateway.position() or 0) > 199, "what was bought, in pos.db")
        rests(client, 2)
        (gateway.folder / str(gateway.config["db"]) / "KILL").write_text("flatten\n")
        eventually(lambda: not open_orders(exchange), "no order to be open")
        eventually(lambda: abs(float(gateway.position() or 0)) < 1, "less than a lot to be held")
        gateway.await_logged("position to be closed", session="1", symbol="dogeusdt")


@pytest.mark.parametrize(("policy", "stay"), [("keep", 2), ("cancel", 0), ("grace", 0)])
def test_r54_orders_of_a_killed_strategy_stay_or_go_as_it_said(
    tmp_path: Path, strategy: StartStrategy, policy: str, stay: int
) -> None:
    """`kill -9` of the strategy; another session's order is left alone."""
    with killable(tmp_path) as (exchange, gateway):
        gateway.start()
        rests(gateway.client(7), 1)
        process = strategy("strategies/leaves_orders.py", gateway.url, policy)
        eventually(lambda: len(open_orders(exchange)) == 3, "the strategy's orders")
        process.kill()
        eventually(lambda: gateway.logged("session left", session="1"), "the gateway to notice")
        eventually(lambda: len(open_orders(exchange)) == 1 + stay, "what the policy says")
        if stay:
            assert not gateway.logged("orders of a lost session are cancelled")
        else:
            gateway.await_logged("orders of a lost session are cancelled")


def test_r62_a_callback_that_hangs_is_noticed_and_its_orders_go(
    tmp_path: Path, strategy: StartStrategy
) -> None:
    """The loop beats; a callback that sleeps does not. What it sends when it wakes up is refused."""
    with killable(tmp_path) as (exchange, gateway):
        gateway.start()
        process = strategy("strategies/leaves_orders.py", gateway.url, "hang")
        eventually(lambda: "hangs" in process.words(), "the callback to hang")
        eventually(lambda: gateway.logged("session is lost", session="1"), "the gateway to notice")
        eventually(lambda: not open_orders(exchange), "its orders to be cancelled")
        (tmp_path / "wake").touch()
        eventually(lambda: "counts as lost: no beat" in process.words(), "the late order to be refused")
        eventually(lambda: "taken again" in process.words(), "the loop to beat again")
