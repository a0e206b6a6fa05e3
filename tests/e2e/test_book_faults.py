"""A whole book over real processes, held against the best prices while its stream is struck."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.processes import Client, Exchange, Frame, Gateway, trading

BOOK, BBO = "dogeusdt@book", "dogeusdt@bbo"
Desk = tuple[Exchange, Gateway]


@pytest.fixture(params=["spot", "usdt"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """A lively exchange and a gateway of either market."""
    with trading(tmp_path, "--ticks-per-second=50", exe=request.param) as (exchange, gateway):
        yield exchange, gateway.start()


class Reader:
    """Keeps the book as docs/protocol.md says."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.sides: list[dict[Decimal, Decimal]] = [{}, {}]
        self.update_id = 0
        self.good = False
        client.call("subscribe", streams=[BOOK, BBO])

    def take(self, frame: Frame) -> str | None:
        """A frame; why the book is stale, if it says so."""
        if frame.get("stream") != BOOK:
            return None
        if "stale" in frame:
            self.good = False
            return str(frame["stale"])
        data: dict[str, Any] = frame["data"]
        if "previous_id" not in data:
            self.sides, self.good = [{}, {}], True
        elif data["update_id"] <= self.update_id:
            return None
        else:
            assert data["previous_id"] <= self.update_id, "a change is missing"
        for side, rows in zip(self.sides, (data["bids"], data["asks"]), strict=True):
            for price, qty in rows:
                side[Decimal(price)] = Decimal(qty)
                if not Decimal(qty):
                    del side[Decimal(price)]
        self.update_id = data["update_id"]
        assert max(self.sides[0]) < min(self.sides[1]), "a crossed book was shown"
        return None

    def until_stale(self) -> str:
        """Why it is."""
        while True:
            if why := self.take(self.client.until(lambda frame: frame.get("stream") == BOOK)):
                return why

    def until_good(self, changes: int = 0) -> None:
        """Until it is, and that many changes more."""
        while not self.good or changes > 0:
            changes -= self.good
            why = self.take(self.client.until(lambda frame: frame.get("stream") == BOOK))
            assert why is None or not self.good, why


def strike(desk: Desk, fault: str, **rule: object) -> None:
    """The stream of the book's changes is struck."""
    body = [{"fault": fault, "stream": "dogeusdt@depth@100ms"} | rule]
    desk[0].control("POST", "/control/faults", body)


def struck(desk: Desk, reader: Reader, reasons: tuple[str, ...], fault: str, **rule: object) -> None:
    """The book is stale for one of these reasons, and good again afterwards.

    On a machine that stands still a silence may be told first, and the strike meet no good book: once more.
    """
    said = []
    for _ in range(10):
        strike(desk, fault, **rule)
        said.append(reader.until_stale())
        desk[0].control("DELETE", "/control/faults")
        reader.until_good(changes=20)
        if any(reason in said[-1] for reason in reasons):
            return
    pytest.fail(f"{fault}: {said}")


def test_r27_r30_a_falsified_a_cut_and_a_frozen_book_is_stale_and_comes_back(desk: Desk) -> None:
    """In fair weather no word of it; each fault is said with its reason, and a good book follows."""
    _, gateway = desk
    reader = Reader(gateway.client(1))
    reader.until_good(changes=60)
    struck(desk, reader, ("does not agree with the best prices", "the book is crossed"), "stream.poison")
    struck(desk, reader, ("missing after update",), "stream.drop", nth=1)
    struck(desk, reader, ("no change of the book for", "the best prices at"), "stream.drop")
