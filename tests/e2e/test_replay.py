"""The recorded market through exchange and gateway: each depth and book delivered is the raw file's."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import NoReturn, Protocol

import pytest
from support.processes import Client, Frame, trading
from support.recording import (
    FUTURES,
    NAME,
    Rows,
    Side,
    books,
    covered,
    last_update,
    levels,
    recording,
    whole_books,
)

# Fast enough for a test run, slow enough that the seconds before the strategy has subscribed are few. A
# machine that is too slow for the first takes more time.
SPEEDS = (8, 4, 1)


class MachineLacks(Protocol):
    """Skips the test that asks."""

    def __call__(self, what: str) -> NoReturn: ...


@pytest.mark.timeout(3_600)
def test_every_depth_delivered_equals_the_recording(machine_lacks: MachineLacks, tmp_path: Path) -> None:
    """At the same update id, level by level; at least 95 % of the recorded updates are delivered."""
    file = recording()
    if file is None:
        machine_lacks(f"no recording {NAME}: TRADINGSYS_RECORDINGS names no folder that has it")
    expected = books(file)
    for speed in SPEEDS:
        folder = tmp_path / str(speed)
        folder.mkdir()
        compared = compared_at(speed, folder, file, expected)
        print(f"compared {compared} of {len(expected)} recorded updates")
        if compared >= len(expected) * 0.95:
            return
    pytest.fail("fewer than 95 % at any speed")


def compared_at(speed: int, folder: Path, file: Path, expected: dict[int, tuple[Rows, Rows]]) -> int:
    """How many updates were delivered at that speed, each of them as it was recorded."""
    compared = set()
    with trading(folder, "--replay", str(file), "--replay-speed", str(speed)) as (_, gateway):
        gateway.start()
        client = gateway.client(1)
        client.call("subscribe", streams=["btcusdt@depth:100ms"])
        while max(expected) not in compared:
            # On a machine that stalls, a silence is told; the next data ends it.
            frame = client.until(lambda frame: "data" in frame and frame["stream"] == "btcusdt@depth:100ms")
            data = frame["data"]
            update = data["update_id"]
            assert (levels(data["bids"]), levels(data["asks"])) == expected[update], f"update {update}"
            compared.add(update)
    return len(compared)


class Follower:
    """Keeps a book by docs/protocol.md alone."""

    def __init__(self) -> None:
        self.bids: Side = {}
        self.asks: Side = {}
        self.range = (Decimal(0), Decimal(0))
        self.update = 0
        self.good = False

    def take(self, data: Frame) -> None:
        """The whole book, or a change of it."""
        previous = data.get("previous_id")
        if previous is None:
            self.bids, self.asks, self.good = {}, {}, True
        elif not self.good or data["update_id"] <= self.update:
            return
        else:
            assert previous == self.update, "a change is missing"
        for side, rows in ((self.bids, data["bids"]), (self.asks, data["asks"])):
            for price, quantity in levels(rows):
                side.pop(price, None)
                if quantity:
                    side[price] = quantity
        self.update = data["update_id"]
        if previous is None:
            self.range = (min(self.bids), max(self.asks))


def within(side: Side, lowest: Decimal, highest: Decimal) -> Side:
    """The levels in a range of prices."""
    return {price: quantity for price, quantity in side.items() if lowest <= price <= highest}


@pytest.mark.parametrize(("exe", "name"), [("spot", NAME), ("usdt", FUTURES)])
@pytest.mark.timeout(3_600)
def test_i18_every_book_delivered_equals_the_recording(
    machine_lacks: MachineLacks, tmp_path: Path, exe: str, name: str
) -> None:
    """At every update id that comes, all levels that snapshot and recording cover.

    That every recorded update is met is the feeds' own test; here a slow reader gets whole books instead.
    """
    file = recording(name)
    if file is None:
        machine_lacks(f"no recording {name}: TRADINGSYS_RECORDINGS names no folder that has it")
    lowest, highest = covered(file)
    last = last_update(file)
    expected = whole_books(file)
    update, bids, asks = next(expected)
    follower, compared, passed = Follower(), 0, 1
    with trading(tmp_path, "--replay", str(file), "--replay-speed", str(SPEEDS[0]), exe=exe) as (_, gateway):
        gateway.start()
        client = Client(gateway, 1)
        # Orders are not needed, so neither is the comparison of the books.
        client.until(lambda frame: frame.get("event") == "state" and frame["state"] != "down")
        # With the best prices beside it, the book is held against them: the recorded ones agree.
        client.call("subscribe", streams=["btcusdt@book", "btcusdt@bbo"])
        while follower.update < last:
            frame = client.until(lambda frame: frame.get("stream") == "btcusdt@book")
            if "stale" in frame:
                # A machine that stalls has silences, and may get a snapshot only after the market left the
                # range of the last one; the recording itself has no gap.
                silences = ("no change of the book for", "all known ", "the book stands at update")
                assert frame["stale"].startswith(silences), frame
                follower.good = False
                continue
            follower.take(frame["data"])
            while update < follower.update:
                update, bids, asks = next(expected)
                passed += 1
            assert update == follower.update
            known = max(lowest, follower.range[0]), min(highest, follower.range[1])
            assert within(follower.bids, *known) == within(bids, *known), f"update {update}"
            assert within(follower.asks, *known) == within(asks, *known), f"update {update}"
            compared += 1
    print(f"compared {compared} of {passed} recorded updates")
    assert compared >= 100
