"""A slow reader gets what is current, not what has queued up; nobody else is delayed."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.processes import Client, Exchange, Gateway, trading
from websockets.exceptions import ConnectionClosed

# More than an exchange on a busy machine can make would keep it from all else.
TICKS = 200
SLEEP = 5.0
# Far more frames than two small socket buffers hold.
MANY = 1500


@pytest.fixture
def lively(tmp_path: Path) -> Iterator[tuple[Exchange, Gateway]]:
    """An exchange whose market changes two hundred times a second, and its gateway."""
    with trading(tmp_path, f"--ticks-per-second={TICKS}") as (exchange, gateway):
        gateway.start()
        yield exchange, gateway


def small_client(gateway: Gateway, stack: ExitStack, session: int) -> Client:
    """A client whose socket holds little, as the SDK's does."""
    port = int(gateway.url.rsplit(":", 1)[1])
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    raw.connect(("127.0.0.1", port))
    client = Client(gateway, session, {"sock": raw, "max_queue": (1, 0)})
    stack.callback(client.close)
    return client


def test_after_a_long_pause_the_next_bbo_is_the_current_one(lively: tuple[Exchange, Gateway]) -> None:
    _, gateway = lively
    with ExitStack() as stack:
        slow, quick = small_client(gateway, stack, 1), small_client(gateway, stack, 2)
        for client in (slow, quick):
            client.until(lambda frame: frame.get("event") == "state" and frame["state"] == "ready")
            client.call("subscribe", streams=["btcusdt@bbo"])
        bbo = "btcusdt@bbo"
        quick.until(lambda frame: frame.get("stream") == bbo)
        slow.buy("10")
        pause = time.monotonic() + SLEEP
        seen = 0
        newest = 0
        while time.monotonic() < pause or seen < MANY:
            frame = quick.receive()
            if "data" in frame:
                seen, newest = seen + 1, frame["data"]["update_id"]
        behind = []
        while True:
            frame = slow.receive()
            if "data" in frame:
                behind.append(frame["data"]["update_id"])
                if behind[-1] >= newest:
                    break
        # What two small socket buffers hold is old; the rest was left out.
        assert len(behind) < seen / 2, f"{len(behind)} frames had queued, the quick one saw {seen}"
        assert behind == sorted(behind)
        assert slow.buy("10")["order"]["state"] == "FILLED"


def answers(client: Client) -> None:
    """The gateway answers somebody else."""
    try:
        assert client.call("time")["time"] > 0
    except TimeoutError:
        pytest.fail("another session waited")


def test_a_reader_that_never_reads_is_closed_and_can_resume(lively: tuple[Exchange, Gateway]) -> None:
    _, gateway = lively
    with ExitStack() as stack:
        stuck = small_client(gateway, stack, 1)
        other = gateway.client(2)
        stack.callback(other.close)
        stuck.until(lambda frame: frame.get("event") == "state" and frame["state"] == "ready")
        with pytest.raises((ConnectionClosed, TimeoutError)):
            for at in range(1_000_000):
                stuck.socket.send(json.dumps({"id": at, "method": "products", "params": {}}))
                if at % 1000 == 0:
                    answers(other)
        gateway.await_logged("client closed", code="4002")
        assert other.buy("10")["order"]["state"] == "FILLED"
        again = gateway.client(1)
        stack.callback(again.close)
        assert again.buy("10")["order"]["state"] == "FILLED"
