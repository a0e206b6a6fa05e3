"""`spot compact` on the real binary's journal: what goes, what stays, and a kill at any moment."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
from typing import Any

import pytest
from pyalgo._verify import verify
from support.processes import PATIENCE, Client, Gateway, eventually, program

SEED = int(os.environ.get("TRADINGSYS_SEED", "1"))


def rows(gateway: Gateway) -> list[tuple[int, str, str, str]]:
    """The journal."""
    return gateway.sql("SELECT seq, kind, body, sum FROM record ORDER BY seq", "journal.db")


def acknowledge(client: Client, gateway: Gateway, sequence: int) -> None:
    """Says that everything up to there is handled, and waits until that is on the gateway's disk."""
    generation = client.seat["last"]["gen"]
    frame = {"method": "ack", "params": {"gen": generation, "seq": sequence}}
    client.socket.send(json.dumps(frame))

    def there() -> bool:
        bodies = [json.loads(body) for _, kind, body, _ in rows(gateway) if kind == "ack" and body]
        return any(body["sequence"] == sequence for body in bodies)

    eventually(there, "the acknowledgement in the journal")


def traded(gateway: Gateway, orders: int = 6, acknowledged: int = 7) -> dict[str, Any]:
    """A journal with events of two sessions: of the first some are acknowledged, of the other none."""
    gateway.config["retention_days"] = 0
    gateway.write_config()
    gateway.start()
    client, other = gateway.client(1), gateway.client(2)
    for _ in range(orders):
        last = client.buy("10")
    other.buy("10")
    acknowledge(client, gateway, acknowledged)
    seat: dict[str, Any] = client.seat | {"seq": last["seq"]}
    client.close()
    other.close()
    gateway.running.end()
    return seat


def resumed(
    gateway: Gateway, session: int, cursor: tuple[int, int] | None, missed: bool = True
) -> tuple[str, list[int]]:
    """How a login goes on, and the numbers of the events it gets, up to the last one if any were missed."""
    at = {} if cursor is None else {"cursor": {"gen": cursor[0], "seq": cursor[1]}}
    client = Client(gateway, session, **at)
    how, last = str(client.seat["resume"]), client.seat["last"]["seq"]
    told: list[int] = []
    while how == "events" and missed and last not in told:
        frame = client.frames.pop(0) if client.frames else client.receive()
        told += [frame["seq"]] if "seq" in frame else []
    client.close()
    return how, told


def test_what_is_acknowledged_goes_and_everything_else_stays(gateway: Gateway) -> None:
    seat = traded(gateway)
    generation, last = seat["last"]["gen"], seat["seq"]
    before = rows(gateway)
    views = ("fill", "orders", "order_state", "cash")
    tables = {view: gateway.sql(f"SELECT * FROM {view}", "journal.db") for view in views}
    position = gateway.sql("SELECT session_id, symbol, qty, avg_price FROM position")
    done = gateway.run("compact", "-c=spot.json")
    assert done.returncode == 0, done.stderr
    after = rows(gateway)
    gone = {seq for seq, _, body, _ in after if not body}
    assert f"ok   compact: {len(gone)} records lost their text" in done.stdout
    assert "saved" in done.stdout.splitlines()[1]
    assert [(seq, kind, sum_) for seq, kind, _, sum_ in before] == [
        (seq, kind, sum_) for seq, kind, _, sum_ in after
    ]
    assert all(old == new for old, new in zip(before, after, strict=True) if old[0] not in gone)
    texts = [(kind, json.loads(body)) for seq, kind, body, _ in before if seq in gone]
    assert {kind for kind, _ in texts} <= {"event", "answer", "ack"}
    events = sorted(b["sequence"] for kind, b in texts if kind == "event" and b["session"] == 1)
    assert events == list(range(1, 8)), "those of session 1 that it has acknowledged"
    assert not [b for kind, b in texts if kind == "event" and b["session"] == 2], "none of the other's"
    assert tables == {view: gateway.sql(f"SELECT * FROM {view}", "journal.db") for view in views}
    assert len(gateway.sql("SELECT frame FROM event", "journal.db")) == last - 7 + len(
        [1 for _, kind, body, _ in after if kind == "event" and json.loads(body or "{}").get("session") == 2]
    )
    verified = gateway.run("verify", "-c=spot.json")
    assert verified.returncode == 0, verified.stdout
    assert f"every checksum holds; {len(gone)} of them without text" in verified.stdout
    found = verify(gateway.folder / "db")
    assert found.holds, "\n".join(found.lines())

    gateway.start()
    assert resumed(gateway, 1, None) == ("events", list(range(8, last + 1)))
    assert resumed(gateway, 1, (generation, 7)) == ("events", list(range(8, last + 1)))
    assert resumed(gateway, 1, (generation, 6))[0] == "snapshot"
    assert resumed(gateway, 2, None)[0] == "events"
    assert gateway.sql("SELECT session_id, symbol, qty, avg_price FROM position") == position
    client = gateway.client(1)
    assert client.buy("10")["seq"] == last + 2, "numbers go on"
    found = verify(gateway.folder / "db")
    assert found.holds, "\n".join(found.lines())


def test_compact_beside_a_running_gateway_and_without_a_journal_is_refused(gateway: Gateway) -> None:
    done = gateway.run("compact", "-c=spot.json")
    assert done.returncode == 78 and "nothing to compact" in done.stderr
    gateway.start()
    done = gateway.run("compact", "-c=spot.json")
    assert done.returncode == 78 and f"pid {gateway.running.popen.pid}" in done.stderr


def test_everything_acknowledged_is_remembered_by_its_numbers(gateway: Gateway) -> None:
    """Though every event of the session is acknowledged: numbers go on, nothing is told again."""
    seat = traded(gateway, orders=2, acknowledged=4)
    assert seat["seq"] == 4
    assert gateway.run("compact", "-c=spot.json").returncode == 0
    gateway.start()
    assert resumed(gateway, 1, None, missed=False) == ("events", [])
    assert gateway.client(1).buy("10")["seq"] == 6


@pytest.mark.timeout(3_600)
def test_r51_a_kill_at_any_moment_leaves_a_journal_that_is_whole(gateway: Gateway) -> None:
    """20 kills of `compact`, each on a journal with much to do."""
    traded(gateway, orders=60, acknowledged=119)
    folder = gateway.folder / "db"
    kept = gateway.folder / "kept"
    shutil.copytree(folder, kept)
    before = [row for row in rows(gateway) if row[1] not in ("event", "answer", "ack")]
    rng = random.Random(SEED)
    print(f"seed {SEED}; replay: TRADINGSYS_SEED={SEED} pytest {__file__}")
    done = 0
    command = [program("spot"), "compact", "-c=spot.json"]
    began = time.monotonic()
    assert gateway.run("compact", "-c=spot.json").returncode == 0
    length = time.monotonic() - began
    for _ in range(20):
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
        process = subprocess.Popen(command, cwd=gateway.folder, stdout=subprocess.DEVNULL)
        # The moment of the kill, not a wait for something.
        time.sleep(rng.uniform(0.0, length))
        process.kill()
        process.wait(PATIENCE)
        verified = gateway.run("verify", "-c=spot.json")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert [row for row in rows(gateway) if row[1] not in ("event", "answer", "ack")] == before
        late = "without text" in verified.stdout
        done += late
        # As long as it takes here, however long the first one took: kills fall on both sides of its end.
        length *= 0.8 if late else 1.2
    print(f"{done} of 20 kills came after the transaction")
    assert done < 20, "some kill came before it was done"
