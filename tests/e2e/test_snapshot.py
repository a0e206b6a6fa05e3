"""Starts from `journal.snapshot` with the real gateway: what it saves, and that nothing hangs on it.

The oracle is the exchange's own trade file.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
from pyalgo._verify import verify
from support.deaths import armed
from support.outcome import comes_out_even, held, net
from support.processes import PATIENCE, Client, Exchange, Gateway, Process, eventually, program, trading
from websockets.exceptions import ConnectionClosed

Desk = tuple[Exchange, Gateway]
SEED = int(os.environ.get("TRADINGSYS_SEED", "1"))
SNAPSHOT = "journal.snapshot"
EVERY = 60


@pytest.fixture
def frugal(tmp_path: Path) -> Iterator[Desk]:
    """A gateway that makes a snapshot after few rows."""
    with trading(tmp_path, "--ticks-per-second=20", snapshot_rows=EVERY) as both:
        yield both


def rows(gateway: Gateway) -> int:
    """How long the journal is."""
    return int(gateway.sql("SELECT max(seq) FROM record", "journal.db")[0][0])


def traded(gateway: Gateway) -> None:
    """A life that ends in a kill, and leaves a snapshot."""
    gateway.start()
    client = gateway.client()
    while rows(gateway) < EVERY:
        client.buy("10")
    eventually((gateway.folder / "db" / SNAPSHOT).exists, "a snapshot")
    client.buy("10")
    gateway.running.kill()


def agrees(gateway: Gateway, client: Client) -> bool:
    """Does the gateway say what the exchange's trades come to?"""
    return net(client) == held(gateway)


def made_more_than(gateway: Gateway, count: int) -> bool:
    """Were more snapshots made than that?"""
    return len(gateway.logged("snapshot_made")) > count


def started_from(gateway: Gateway) -> int:
    """The record up to which a snapshot stood for the journal at the last start; 0: none did."""
    return int(stores_open(gateway)["snapshot"])


def stores_open(gateway: Gateway) -> dict[str, str]:
    """What the log says of the stores at the last start; when it tells of the address, it has said that."""
    gateway.await_logged("listening", url=gateway.url)
    return gateway.logged("stores_open")[-1].fields


def test_a_start_from_a_snapshot_goes_on_where_the_last_life_ended(frugal: Desk) -> None:
    _, gateway = frugal
    traded(gateway)
    before = rows(gateway)
    gateway.start()
    assert started_from(gateway) >= EVERY
    assert int(stores_open(gateway)["records"]) < before
    eventually(lambda: gateway.logged("journal_checked"), "all records to be read over")
    client = gateway.client()
    client.buy("10")
    comes_out_even(gateway, client)
    said = gateway.run("verify", "-c=spot.json").stdout
    assert "ok   snapshot: of record" in said and "a start from it is one from all" in said
    found = verify(gateway.folder / "db")
    assert found.holds and "of record" in found.counts["snapshot"], "\n".join(found.lines())


def test_r59_a_flipped_bit_in_a_snapshot_is_said_and_costs_nothing(frugal: Desk) -> None:
    _, gateway = frugal
    print(f"seed {SEED}; replay: TRADINGSYS_SEED={SEED} pytest {__file__}")
    rng = random.Random(SEED)
    traded(gateway)
    path = gateway.folder / "db" / SNAPSHOT
    for _ in range(3):
        content = bytearray(path.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        warned = gateway.run("verify", "-c=spot.json")
        assert warned.returncode == 0 and "warn snapshot: " in warned.stdout, warned.stdout
        assert {breach.law for breach in verify(gateway.folder / "db").breaches} == {"snapshot"}
        said = len(gateway.logged("snapshot_not_used"))
        made = len(gateway.logged("snapshot_made"))
        gateway.start()
        assert started_from(gateway) == 0 and len(gateway.logged("snapshot_not_used")) == said + 1
        client = gateway.client()
        client.buy("10")
        eventually(partial(agrees, gateway, client), "the position to be the exchange's")
        eventually(partial(made_more_than, gateway, made), "a new one")
        gateway.running.kill()
    gateway.start()
    assert started_from(gateway) > 0
    comes_out_even(gateway, gateway.client())


def test_killed_while_it_makes_a_snapshot_it_has_the_one_before(frugal: Desk) -> None:
    _, gateway = frugal
    traded(gateway)
    gateway.start(env=armed("mid_snapshot"))
    row = started_from(gateway)
    client = gateway.client()
    # It may die while it is asked to buy.
    with suppress(ConnectionClosed):
        while rows(gateway) < row + EVERY:
            client.buy("10")
    assert gateway.running.popen.wait(PATIENCE) == -signal.SIGKILL
    assert (gateway.folder / "db" / f"{SNAPSHOT}.new").exists(), "killed in the middle"
    gateway.start()
    assert started_from(gateway) == row
    comes_out_even(gateway, gateway.client())
    assert verify(gateway.folder / "db").holds


def test_a_snapshot_the_disk_refuses_leaves_nothing_behind_and_is_made_later(frugal: Desk) -> None:
    _, gateway = frugal
    gateway.start(env=armed("mid_snapshot=io_error"))
    client = gateway.client()
    while rows(gateway) < EVERY:
        client.buy("10")
    # Not a row more, of which the next try could be made before the log tells of this one.
    gateway.await_logged("snapshot_not_made")
    folder = gateway.folder / "db"
    assert not (folder / f"{SNAPSHOT}.new").exists() and not (folder / SNAPSHOT).exists()
    until = rows(gateway) + EVERY
    while rows(gateway) < until:
        client.buy("10")
    eventually((folder / SNAPSHOT).exists, "the next one")
    comes_out_even(gateway, client)


def lengthened(gateway: Gateway, count: int) -> None:
    """So many rows more that change nothing."""
    with closing(sqlite3.connect(gateway.folder / "db" / "journal.db", isolation_level=None)) as file:
        last, sum_ = file.execute("SELECT seq, sum FROM record ORDER BY seq DESC LIMIT 1").fetchone()
        (start,) = file.execute("SELECT max(body) FROM record WHERE kind = 'start'").fetchone()
        body = json.dumps({"kind": "end", "time": json.loads(start)["time"]}, separators=(",", ":"))
        file.execute("BEGIN")
        for seq in range(last + 1, last + count + 1):
            sum_ = hashlib.sha256(f"{sum_}{seq}\n{body}".encode()).hexdigest()
            file.execute("INSERT INTO record VALUES(?, 'end', ?, ?)", (seq, body, sum_))
        file.execute("COMMIT")


def opened(gateway: Gateway) -> int:
    """How often the gateway has its journal open: to write, and while it reads it over."""
    targets = []
    for descriptor in Path(f"/proc/{gateway.running.popen.pid}/fd").iterdir():
        with suppress(OSError):
            targets.append(descriptor.readlink().name)
    return targets.count("journal.db")


def test_a_stop_while_the_journal_is_read_over_leaves_no_log_beside_it(frugal: Desk) -> None:
    """Who copies `journal.db` of a stopped gateway has all of it."""
    _, gateway = frugal
    gateway.start()
    gateway.running.end()
    for _ in range(10):
        lengthened(gateway, 60_000)
        made = len(gateway.logged("snapshot_made"))
        gateway.start()
        eventually(
            lambda made=made: opened(gateway) > 1 or made_more_than(gateway, made),
            "the journal to be read over",
        )
        gateway.running.end()
        assert not (gateway.folder / "db" / "journal.db-wal").exists()
        if not made_more_than(gateway, made):
            return  # It ended in the middle.
        # It was over before it was asked to end: once more, with more to read.
        (gateway.folder / "db" / SNAPSHOT).unlink()
    pytest.fail("it was never ended in the middle")


def test_r59_damage_that_a_start_did_not_read_is_found_while_it_runs(frugal: Desk) -> None:
    """The books in use are sound; the next start refuses, as it would without a snapshot."""
    _, gateway = frugal
    traded(gateway)
    text = "UPDATE record SET body = replace(body, 'dogeusdt', 'dogeusdx') WHERE kind = 'fill'"
    gateway.sql(f"{text} AND seq = (SELECT min(seq) FROM record WHERE kind = 'fill')", "journal.db")
    gateway.start()
    assert started_from(gateway) > 0
    eventually(lambda: gateway.logged("journal_damaged", "checksum"), "the damage to be found")
    assert not (gateway.folder / "db" / SNAPSHOT).exists()
    (kept,) = (gateway.folder / "db").glob(f"{SNAPSHOT}.damaged-*")
    assert gateway.logged("journal_damaged")[0].fields["snapshot"].endswith(kept.name)
    client = gateway.client()
    client.buy("10")
    eventually(partial(agrees, gateway, client), "the position to be the exchange's")
    gateway.running.kill()
    refused = Process([program("spot"), "-c=spot.json"], gateway.folder)
    assert refused.popen.wait(PATIENCE) == 78 and "is damaged at record" in refused.log()
