"""The recorded market, rebuilt from its raw file by code that shares nothing with the project."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from decimal import Decimal
from heapq import nlargest, nsmallest
from pathlib import Path

NAME = "spot_btcusdt_20240808.gz"
FUTURES = "usdm_btcusdt_20240808.gz"

Rows = list[tuple[Decimal, Decimal]]
Side = dict[Decimal, Decimal]


def recording(name: str = NAME) -> Path | None:
    """The file, if the folder named by TRADINGSYS_RECORDINGS has it."""
    folder = os.environ.get("TRADINGSYS_RECORDINGS")
    file = Path(folder) / name if folder else None
    return file if file and file.exists() else None


def books(path: Path) -> dict[int, tuple[Rows, Rows]]:
    """Update id to the best 20 levels a side that the recorded snapshot covers, after each difference."""
    with gzip.open(path, "rt") as file:
        frames = [json.loads(line.split(" ", 1)[1]) for line in file]
    snapshot = next(frame for frame in frames if "stream" not in frame)
    bids: Side = {Decimal(price): Decimal(qty) for price, qty in snapshot["bids"]}
    asks: Side = {Decimal(price): Decimal(qty) for price, qty in snapshot["asks"]}
    lowest, highest = min(bids), max(asks)
    found = {}
    for frame in frames:
        data = frame.get("data", {})
        if data.get("e") != "depthUpdate" or data["u"] <= snapshot["lastUpdateId"]:
            continue
        for side, rows in ((bids, data["b"]), (asks, data["a"])):
            for text, qty in rows:
                price = Decimal(text)
                if Decimal(qty) and (price >= lowest if side is bids else price <= highest):
                    side[price] = Decimal(qty)
                else:
                    side.pop(price, None)
        found[data["u"]] = (nlargest(20, bids.items()), nsmallest(20, asks.items()))
    return found


def whole_books(path: Path) -> Iterator[tuple[int, Side, Side]]:
    """After each difference: update id, bids and asks, as far as the recorded snapshot covers the book.

    The two sides are the same objects each time.
    """
    with gzip.open(path, "rt") as file:
        frames = [json.loads(line.split(" ", 1)[1]) for line in file]
    snapshot = next(frame for frame in frames if "stream" not in frame)
    bids: Side = {Decimal(price): Decimal(qty) for price, qty in snapshot["bids"]}
    asks: Side = {Decimal(price): Decimal(qty) for price, qty in snapshot["asks"]}
    lowest, highest = min(bids), max(asks)
    for frame in frames:
        data = frame.get("data", {})
        if data.get("e") != "depthUpdate" or data["u"] <= snapshot["lastUpdateId"]:
            continue
        for side, rows in ((bids, data["b"]), (asks, data["a"])):
            for price, qty in ((Decimal(price), Decimal(qty)) for price, qty in rows):
                side.pop(price, None)
                if qty and lowest <= price <= highest:
                    side[price] = qty
        yield data["u"], bids, asks


def covered(path: Path) -> tuple[Decimal, Decimal]:
    """The lowest bid and the highest ask of the recorded snapshot."""
    with gzip.open(path, "rt") as file:
        frames = (json.loads(line.split(" ", 1)[1]) for line in file)
        snapshot = next(frame for frame in frames if "stream" not in frame)
    return min(Decimal(row[0]) for row in snapshot["bids"]), max(Decimal(row[0]) for row in snapshot["asks"])


def last_update(path: Path) -> int:
    """The update id of the last difference."""
    with gzip.open(path, "rt") as file:
        (*_, last) = (line for line in file if '"depthUpdate"' in line)
    return int(json.loads(last.split(" ", 1)[1])["data"]["u"])


def levels(rows: list[list[str]]) -> Rows:
    """Levels as a frame has them."""
    return [(Decimal(price), Decimal(qty)) for price, qty in rows]
