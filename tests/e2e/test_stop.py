"""The kill switch over real processes, and what becomes of the orders of a strategy that hangs or dies.

What is open is asked of the exchange itself.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from support.processes import Client, Exchange, Gateway, Refused, ended, eventually, trading, whole_lines
from support.strategies import StartStrategy

FAR = ["0.150", "0.151", "0.152", "0.153", "0.154", "0.155"]
# Far less than an answer is waited for: whoever waits before the other way is tried takes longer. That it is
# a second, and the way there and back, is shown in virtual time (world/tests/bounds/stop.rs); here it is
# printed.
WITHIN = 5.0
SEED = os.environ.get("TRADINGSYS_SEED")
SEEDS = range(20) if SEED is None else [int(SEED)]
CANCELS = {"side": "api", "method": "order.cancel"}
# What of the websockets is wrong, with requests to take their place.
SOCKETS: dict[str, list[dict[str, Any]]] = {
    "the websockets are cut and refused": [
        {"fault": "connection.refuse", "side": "api"},
        {"fault": "connection.abort", "side": "api"},
    ],
    "the websockets are silent": [{"fault": "connection.half_open", "side": "api"}],
    "cancels over the websocket are lost": [CANCELS | {"fault": "request.drop"}],
    "replies to them are lost": [CANCELS | {"fault": "reply.drop"}],
    "they are answered with an error": [CANCELS | {"fault": "reply.error", "code": -1007}],
}
# Requests get nowhere, and what else is wrong while cancels have the websocket alone.
REQUESTS: dict[str, list[dict[str, Any]]] = {
    "requests are refused": [],
    "requests have no answer": [],
    "requests are refused, private events lost": [{"fault": "event.drop"}],
    "requests have no answer, questions find nothing": [{"fault": "query.not_found"}],
    "requests are refused, the disk is full": [],
}
FAULTS = [*SOCKETS, *REQUESTS]
# Their numbers have no common divisor: twenty seeds are twenty pairs.
TRIGGERS = ["file", "signal", "command"]
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def measured() -> Iterator[list[tuple[float, float]]]:
    """How long each trial took, beside a cancel that its own session asked for."""
    trials: list[tuple[float, float]] = []
    yield trials
    for what, values in zip(("all gone", "a cancel before"), zip(*trials, strict=True), strict=False):
        print(f"{what}: median {median(values):.3f} s, worst {max(values):.3f} s of {len(values)}")


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
    elif trigger == "signal":
        gateway.running.popen.send_signal(signal.SIGUSR1)
    else:
        command = [sys.executable, "-m", "pyalgo", "kill", "--wait=0", "--addr", gateway.url]
        token = {"TRADINGSYS_TOKEN_FILE": str(gateway.folder / str(gateway.config["token_file"]))}
        done = subprocess.run(command, env=os.environ | token, capture_output=True, text=True, check=False)
        assert "KILLED" in done.stdout, done


def refusal(client: Client) -> str:
    """The name under which an order is refused; empty if it is taken."""
    try:
        client.order(type="LIMIT", tif="GTC", price="0.149", qty="70")
    except Refused as refused:
        return str(refused.error["name"])
    return ""


@pytest.mark.parametrize("seed", SEEDS)
def test_r60_the_kill_switch_empties_the_exchange_while_one_way_is_open(
    tmp_path: Path, seed: int, measured: list[tuple[float, float]]
) -> None:
    """By file, signal or command; it stays off after a restart."""
    rng = random.Random(seed)
    trigger, fault = TRIGGERS[seed % len(TRIGGERS)], FAULTS[seed % len(FAULTS)]
    print(f"{fault}, by {trigger}; replay: TRADINGSYS_SEED={seed} pytest {__file__} -k empties")
    # A machine that stands still takes its time, too; who waits for an answer does so every time.
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        took, before = emptied(folder, rng, trigger, fault)
        print(f"all gone after {took:.3f} s; a cancel before: {before:.3f} s")
        if took < WITHIN:
            return measured.append((took, before))
    pytest.fail(f"all gone only after {took:.2f} s, at the fourth time")


def emptied(folder: Path, rng: random.Random, trigger: str, fault: str) -> tuple[float, float]:
    """Orders that rest, something goes wrong, the switch is pulled: after how long nothing is open, and how
    long a cancel took before."""
    with shut(fault) as rest, killable(folder, **rest) as (exchange, gateway):
        gateway.start()
        client = gateway.client()
        before = cancelled(client)
        count = rng.randrange(2, len(FAR) + 1)
        rests(client, count)
        eventually(lambda: len(open_orders(exchange)) == count, "orders that rest")
        exchange.control("POST", "/control/faults", (SOCKETS | REQUESTS)[fault])
        if fault.endswith("the disk is full"):
            fill_the_disk(gateway)
        time.sleep(rng.random() / 5)  # known to be wrong already, or not yet
        began = time.time_ns()
        pull(gateway, trigger)
        eventually(lambda: not open_orders(exchange), "no order to be open")
        took = (last_cancel(gateway) - began) / 1e9
        # Cancels do not wait for the file that outlives the gateway.
        eventually((gateway.folder / str(gateway.config["db"]) / "KILL").exists, "the switch to be kept")
        gateway.running.kill()
        exchange.control("DELETE", "/control/faults")
        gateway.start()
        assert refusal(gateway.client()) == "killed"
        (gateway.folder / str(gateway.config["db"]) / "KILL").unlink()
        eventually(lambda: gateway.logged("the kill switch is cleared"), "the switch to be cleared")
        assert refusal(gateway.client(2)) == ""
        return took, before


@contextmanager
def shut(fault: str) -> Iterator[dict[str, str]]:
    """Where requests go to: nobody is there, or somebody who never says a word. Else where they belong."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        if fault.startswith("requests are refused"):
            yield {"rest": NOBODY}
        elif fault.startswith("requests have no answer"):
            yield {"rest": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        else:
            yield {}


def cancelled(client: Client) -> float:
    """An order is placed and cancelled by its session; how long until it hears that it is gone."""
    order = client.order(type="LIMIT", tif="GTC", price="0.149", qty="70")
    number, client.number = client.number, client.number + 1
    began = time.monotonic()
    client.call("cancel", n=number, order_id=order)
    client.until(lambda frame: ended(frame, order))
    return time.monotonic() - began


def last_cancel(gateway: Gateway) -> int:
    """When the last order was cancelled, by the exchange's own record."""
    rows = whole_lines(gateway.folder / "sim" / "orders.jsonl")
    return max(row["updated_ns"] for row in rows if row["event"] == "CANCELED")


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
    with killable(tmp_path, rest=NOBODY) as (exchange, gateway):
        gateway.start()
        rests(gateway.client(), 4)
        eventually(lambda: len(open_orders(exchange)) == 4, "orders that rest")
        exchange.control("POST", "/control/faults", SOCKETS["the websockets are cut and refused"])
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
