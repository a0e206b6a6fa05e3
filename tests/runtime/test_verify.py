"""`pyalgo verify` and `pyalgo explain` over the files of a real run, and over copies with one thing wrong.

Each sabotage repairs the chain of checksums, so that nothing but the one promise is broken.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyalgo._files import Record, window
from pyalgo._ids import parse
from pyalgo._laws import Laws
from pyalgo._reckoning import Step, Totals, units
from pyalgo._verify import LAWS, verify
from support.processes import Client, Exchange, Gateway, Refused, ended, eventually, trading

Body = dict[str, Any]
PAGE = (Path(__file__).parents[2] / "docs" / "verify.md").read_text()


def pyalgo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command, run."""
    return subprocess.run([sys.executable, "-m", "pyalgo", *arguments], capture_output=True, text=True)


class Run:
    """A gateway's `db` folder after trading: filled, canceled, resting and refused orders, and an edit."""

    def __init__(self, folder: Path, gateway: Gateway) -> None:
        self.folder = folder
        self.filled = ""
        self.resting = ""
        gateway.start()
        first, second = gateway.client(1), gateway.client(2)
        self.filled = trade(first, "BUY", "30")
        trade(second, "BUY", "20")
        trade(first, "SELL", "10")
        self.canceled = rest(first)
        number = first.number
        first.number += 1
        first.call("cancel", n=number, order_id=self.canceled)
        first.until(lambda frame: ended(frame, self.canceled))
        eventually(lambda: gateway.position(2) == "19.98", "the positions in pos.db")
        first.call("time")
        gateway.running.end()
        gateway.sql("UPDATE position SET qty = '25' WHERE session_id = 2")
        gateway.start()
        first = gateway.client(1)
        self.resting = rest(first)
        event = first.until(lambda frame: frame.get("event") == "order")
        first.socket.send(json.dumps({"method": "ack", "params": {"gen": event["gen"], "seq": event["seq"]}}))
        self.refused = refused(first)
        eventually(lambda: gateway.position(2) == "25", "the edit in pos.db")
        self.online = pyalgo("verify", "--db", folder)
        gateway.running.end()


def trade(client: Client, side: str, qty: str) -> str:
    """An order at the market, to its end."""
    order = client.order("dogeusdt", side, type="MARKET", qty=qty)
    client.until(lambda frame: ended(frame, order))
    return order


def rest(client: Client) -> str:
    """An order that rests far below the market."""
    order = client.order("dogeusdt", "BUY", type="LIMIT", qty="100", price="0.1", tif="GTC")

    def new(frame: Body) -> bool:
        return frame.get("event") == "order" and frame["order"]["state"] == "NEW"

    client.frames.append(client.until(new))
    return order


def refused(client: Client) -> int:
    """A command the gateway refuses; its number."""
    number = client.number
    with pytest.raises(Refused, match="qty_range"):
        client.order("dogeusdt", "BUY", type="MARKET", qty="0.5")
    return number


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The run all tests look at."""
    folder = tmp_path_factory.mktemp("verify")
    with trading(folder) as both:
        yield made(both)


def made(both: tuple[Exchange, Gateway]) -> Run:
    """Trades, and ends the gateway."""
    _, gateway = both
    return Run(gateway.folder / "db", gateway)


class Sabotage:
    """A copy of the files, changed."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run = run
        self.folder = folder / "db"
        shutil.copytree(run.folder, self.folder)
        with closing(sqlite3.connect(self.folder / "journal.db")) as file:
            self.bodies = [
                json.loads(body) for (body,) in file.execute("SELECT body FROM record ORDER BY seq")
            ]

    def last(self, kind: str, **members: Any) -> Body:
        """A copy of the last record of a kind with such members."""
        fitting = (b for b in self.bodies if b["kind"] == kind and members.items() <= b.items())
        return copy.deepcopy(list(fitting)[-1])

    def append(self, *bodies: Body) -> None:
        """Writes records behind the others, and the chain anew."""
        with closing(sqlite3.connect(self.folder / "journal.db", isolation_level=None)) as file:
            last, total = file.execute("SELECT seq, sum FROM record ORDER BY seq DESC LIMIT 1").fetchone()
            for seq, body in enumerate(bodies, last + 1):
                text = json.dumps(body, separators=(",", ":"))
                total = hashlib.sha256(f"{total}{seq}\n{text}".encode()).hexdigest()
                file.execute("INSERT INTO record VALUES(?, ?, ?, ?)", (seq, body["kind"], text, total))
            self.place = f"record {last + len(bodies)}"

    def event(self, frame: Body, session: int = 1) -> Body:
        """The session's next event."""
        before = self.last("event", session=session)
        place = {"gen": before["generation"], "seq": before["sequence"] + 1}
        text = json.dumps({**place, "time": 1, **frame})
        return before | {"sequence": before["sequence"] + 1, "frame": text}

    def told(self, order: str, **members: Any) -> Body:
        """The frame that told of an order last, with other members."""
        frames = (json.loads(b["frame"]) for b in self.bodies if b["kind"] == "event")
        frame = [f for f in frames if f["event"] == "order" and f["order"]["order_id"] == order][-1]
        frame["order"] |= members
        return {name: value for name, value in frame.items() if name not in ("gen", "seq")}

    def fill(self, qty: str) -> Body:
        """A fill of the resting order."""
        fill = self.last("fill") | {
            "trade_id": 9_000_001,
            "order": self.run.resting,
            "session": 1,
            "qty": qty,
        }
        return fill | {"venue_id": self.last("order_state", id=self.run.resting)["venue_id"]}

    def books(self, *statements: str, repaired: bool = True) -> None:
        """Changes `pos.db`; its checksum follows, unless the change shall be seen by it."""
        with closing(sqlite3.connect(self.folder / "pos.db", isolation_level=None)) as file:
            for statement in statements:
                assert file.execute(statement).rowcount == 1, statement
            if repaired:
                shows = window(self.folder)
                assert shows is not None
                file.execute("UPDATE _meta SET value = ? WHERE key = 'sum'", (shows.sum,))


def other_number(s: Sabotage) -> str:
    state = s.last("order_state", id=s.run.resting)
    s.append(state | {"venue_id": state["venue_id"] + 1})
    return s.place


def ends_with(**members: Any) -> Callable[[Sabotage], str]:
    """The last record of a kind once more, with other members."""

    def change(s: Sabotage) -> str:
        kind = members["kind"]
        s.append(s.last(kind) | members)
        return s.place

    return change


def foreign_order(s: Sabotage) -> str:
    s.append(s.last("order") | {"id": "x-somebody-elses-order"})
    return s.place


def spoiled_order(s: Sabotage) -> str:
    name = s.run.resting
    s.append(s.last("order") | {"id": name[:-1] + ("2" if name[-1] != "2" else "3")})
    return s.place


def two_answers(s: Sabotage) -> str:
    s.append(s.last("answer"))
    return s.place


def accepted_without_order(s: Sabotage) -> str:
    parts = parse(s.run.resting)
    assert parts is not None
    name = str(type(parts)(parts.kind, parts.install, parts.epoch, 1, 4711))
    reply = json.dumps({"result": {"n": 4711, "order_id": name}})
    s.append(s.last("answer") | {"command": 4711, "reply": reply})
    return s.place


def told_twice(s: Sabotage) -> str:
    s.append(s.event(s.told(s.run.filled)))
    return s.place


def never_told(s: Sabotage) -> str:
    s.append(s.fill("1"))
    return s.place


def open_again(s: Sabotage) -> str:
    frame = s.told(s.run.canceled, state="NEW")
    s.append(s.event(frame))
    return s.place


def open_again_unseen(s: Sabotage) -> str:
    s.append(s.last("order_state", id=s.run.canceled) | {"state": "NEW"})
    return s.place


def wrong_debt(s: Sabotage) -> str:
    debt = {"asset": "DOGE", "owed": "1", "liabilities": "1", "difference": "0", "time": 1}
    s.append({"kind": "debt", **debt})
    return s.place


def too_much_allocated(s: Sabotage) -> str:
    fill = s.last("fill")
    part = {name: value for name, value in fill.items() if name not in ("order", "maker")}
    s.append(part | {"kind": "allocation", "forced": "adl", "session": 1, "qty": "1000"})
    return s.place


def ended_with_more(s: Sabotage) -> str:
    s.append(s.last("order_state", id=s.run.resting) | {"state": "CANCELED", "filled": "5"})
    return s.place


def overfilled(s: Sabotage) -> str:
    fill = s.fill("101")
    view = {"trade_id": fill["trade_id"], "qty": "101"}
    s.append(fill)
    place = s.place
    s.append(s.event(s.told(s.run.resting, state="PARTIALLY_FILLED", filled="101") | {"fill": view}))
    return place


def gap(s: Sabotage) -> str:
    event = s.event({"event": "notice", "code": "x", "message": "y"})
    frame = json.loads(event["frame"])
    number = event["sequence"] + 1
    s.append(event | {"sequence": number, "frame": json.dumps(frame | {"seq": number})})
    return s.place


def shown_otherwise(s: Sabotage) -> str:
    for table in ("position", "_shadow"):
        s.books(f"UPDATE {table} SET qty = '7' WHERE session_id = 1")
    return "session 1 in dogeusdt"


def average_otherwise(s: Sabotage) -> str:
    for table in ("position", "_shadow"):
        s.books(f"UPDATE {table} SET avg_price = '0.5' WHERE session_id = 1")
    return "session 1 in dogeusdt"


def books_otherwise(statement: str, place: str, repaired: bool = True) -> Callable[[Sabotage], str]:
    """A change of the gateway's own tables."""

    def change(s: Sabotage) -> str:
        s.books(statement, repaired=repaired)
        return place

    return change


def edited_twice(s: Sabotage) -> str:
    s.append(s.last("adjust"))
    return s.place


def changed_row(s: Sabotage) -> str:
    """Without the chain."""
    with closing(sqlite3.connect(s.folder / "journal.db", isolation_level=None)) as file:
        (seq,) = file.execute("SELECT min(seq) FROM record WHERE kind = 'fill'").fetchone()
        file.execute(
            'UPDATE record SET body = replace(body, \'"qty":"\', \'"qty":"1\') WHERE seq = ?', (seq,)
        )
    return f"record {seq}"


def bare_end(s: Sabotage) -> str:
    """The last record, an event, without its text: nothing covers its checksum."""
    s.append(s.event({"event": "notice", "code": "x", "message": "y"}))
    with closing(sqlite3.connect(s.folder / "journal.db", isolation_level=None)) as file:
        file.execute("UPDATE record SET body = '' WHERE seq = (SELECT max(seq) FROM record)")
    return s.place


def filled_after_its_end(s: Sabotage) -> str:
    state = s.last("order_state", id=s.run.canceled)
    s.append(s.fill("1") | {"order": s.run.canceled, "venue_id": state["venue_id"]})
    place = s.place
    told = s.told(s.run.canceled, filled="1") | {"fill": {"trade_id": 9_000_001, "qty": "1"}}
    s.append(state | {"filled": "1"}, s.event(told))
    return place


def another_account(s: Sabotage) -> str:
    start = s.last("start")
    s.append(start | {"epoch": start["epoch"] + 1, "install": "zzzzz"})
    return s.place


def lost_row(s: Sabotage) -> str:
    with closing(sqlite3.connect(s.folder / "journal.db", isolation_level=None)) as file:
        file.execute("DELETE FROM record WHERE seq = 5")
    return "record 5"


def recalled(
    spoil: Callable[[list[str]], object], seal: Callable[[str], str] = str
) -> Callable[[Sabotage], str]:
    """A snapshot that leaves nothing out, changed before and after its checksum is made."""

    def change(s: Sabotage) -> str:
        with closing(sqlite3.connect(s.folder / "journal.db")) as file:
            rows = file.execute("SELECT seq, body, sum FROM record ORDER BY seq").fetchall()
            (journal_id,) = file.execute("SELECT value FROM meta WHERE key = 'id'").fetchone()
        head = {"format": 1, "journal": journal_id, "seq": rows[-1][0], "sum": rows[-1][2]}
        lines = [body for _, body, _ in rows]
        spoil(lines)
        text = "\n".join([json.dumps(head | {"keep": 0, "records": len(lines)}), *lines, ""])
        text += hashlib.sha256(text.encode()).hexdigest() + "\n"
        (s.folder / "journal.snapshot").write_text(seal(text))
        return "journal.snapshot"

    return change


def without(kind: str) -> Callable[[list[str]], object]:
    """Takes the first record of that kind out."""
    return lambda lines: lines.remove(next(line for line in lines if f'"kind":"{kind}"' in line))


def without_last(kind: str) -> Callable[[list[str]], object]:
    """Takes the last record of that kind out."""

    def change(lines: list[str]) -> None:
        del lines[max(at for at, line in enumerate(lines) if line.startswith(f'{{"kind":"{kind}"'))]

    return change


def unacknowledged(lines: list[str]) -> None:
    """Takes an event out that session 2, which acknowledges nothing, was told; not its newest."""
    events = [line for line in lines if line.startswith('{"kind":"event"') and '"session":2,' in line]
    assert len(events) > 1
    lines.remove(events[0])


SABOTAGES: list[tuple[str, Callable[[Sabotage], str]]] = [
    ("chain", changed_row),
    ("chain", lost_row),
    ("chain", bare_end),
    ("I1", ends_with(kind="fill")),
    ("I2", shown_otherwise),
    ("I3", foreign_order),
    ("I3", spoiled_order),
    ("I3", another_account),
    ("I4", other_number),
    ("I4", two_answers),
    ("I4", accepted_without_order),
    ("I5", told_twice),
    ("I5", never_told),
    ("I7", ends_with(kind="order")),
    ("I7", ends_with(kind="start")),
    ("I8", open_again),
    ("I8", filled_after_its_end),
    ("I8", open_again_unseen),
    ("I11", wrong_debt),
    ("I11", too_much_allocated),
    ("I12", ended_with_more),
    ("I13", overfilled),
    ("I14", gap),
    ("I14", ends_with(kind="ack", sequence=10_000)),
    ("I14", ends_with(kind="generation", generation=1)),
    ("I15", average_otherwise),
    (
        "I15",
        books_otherwise("UPDATE _asset SET amount = '1' WHERE owner = '1' AND asset = 'USDT'", "_asset of 1"),
    ),
    ("I15", books_otherwise("UPDATE _fee SET amount = '1' WHERE session_id = 2", "_fee of session 2")),
    (
        "I15",
        books_otherwise("UPDATE _profit SET realised = '1' WHERE session_id = 1", "_profit of session 1"),
    ),
    (
        "I15",
        books_otherwise("UPDATE _asset SET amount = '1.0' WHERE amount = '30'", "pos.db", repaired=False),
    ),
    ("I21", edited_twice),
    *[("snapshot", recalled(without(kind))) for kind in ("fill", "order", "adjust", "start", "cash")],
    *[("snapshot", recalled(without_last(kind))) for kind in ("order_state", "cursor", "event")],
    ("snapshot", recalled(unacknowledged)),
    ("snapshot", recalled(lambda lines: lines.insert(3, lines[0].replace('"epoch":', '"epoch":1')))),
    ("snapshot", recalled(lambda lines: lines.insert(3, lines[2]))),
    ("snapshot", recalled(list, lambda text: text.replace("fill", "fall", 1))),
    ("snapshot", recalled(list, lambda text: text[: len(text) // 2])),
]


def test_a_real_run_keeps_every_promise_while_the_gateway_runs_and_after(run: Run) -> None:
    assert run.online.returncode == 0, run.online.stdout + run.online.stderr
    done = pyalgo("verify", "--db", run.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    for said in (run.online.stdout, done.stdout):
        assert [line.split()[:2] for line in said.splitlines()] == [["ok", law] for law in LAWS]


@pytest.mark.parametrize(("law", "change"), SABOTAGES)
def test_each_promise_that_is_broken_is_named_with_its_row(
    run: Run, tmp_path: Path, law: str, change: Callable[[Sabotage], str]
) -> None:
    sabotage = Sabotage(run, tmp_path)
    place = change(sabotage)
    found = verify(sabotage.folder)
    said = "\n".join(found.lines())
    assert {breach.law for breach in found.breaches} == {law}, said
    if law != "I15":
        assert [breach.place for breach in found.breaches] == [f"pos.db, {place}" if law == "I2" else place]
    assert re.search(rf"^fail {law} .*{re.escape(place)}.*; ", said, re.MULTILINE), said


def test_every_promise_has_its_sabotage_and_its_line_on_the_page(run: Run) -> None:
    assert {law for law, _ in SABOTAGES} == set(LAWS)
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(LAWS)


def test_a_resurrected_order_is_accepted_as_it_is_told(run: Run, tmp_path: Path) -> None:
    sabotage = Sabotage(run, tmp_path)
    notice = {"event": "notice", "code": "resurrected", "message": "", "order_id": run.canceled}
    sabotage.append(sabotage.event(notice))
    sabotage.bodies.append(sabotage.event(notice))
    sabotage.append(sabotage.event(sabotage.told(run.canceled, state="NEW")))
    assert verify(sabotage.folder).holds, "\n".join(verify(sabotage.folder).lines())


def test_an_order_may_come_back_by_a_fill(run: Run, tmp_path: Path) -> None:
    sabotage = Sabotage(run, tmp_path)
    filled_after_its_end(sabotage)
    assert {breach.law for breach in verify(sabotage.folder).breaches} == {"I8"}
    told = sabotage.last("event", session=1)
    sabotage.bodies.append(told | {"sequence": told["sequence"] + 1})
    notice = {"event": "notice", "code": "resurrected", "message": "", "order_id": run.canceled}
    sabotage.append(sabotage.event(notice))
    assert verify(sabotage.folder).holds, "\n".join(verify(sabotage.folder).lines())


def test_a_start_with_another_accounts_key_is_no_breach_while_nothing_is_held() -> None:
    start = {"epoch": 1, "market": "spot", "install": "aaaaa", "boot_id": "", "time": 1}
    laws = Laws()
    laws.take(Record(1, "start", start))
    laws.take(Record(2, "start", start | {"epoch": 2, "install": "bbbbb"}))
    assert not laws.breaches
    laws.take(Record(3, "start", start | {"epoch": 3, "market": "usdt"}))
    assert [breach.law for breach in laws.breaches] == ["I3"]


def test_the_average_of_little_may_be_rounded_before_much_is_made_of_it_by_an_edit() -> None:
    def fill(at: int, qty: str, price: str) -> Step:
        paid = Decimal(qty) * Decimal(price)
        return Step((at, at), units(qty), units(str(abs(paid))))

    totals = Totals()
    for step in (fill(1, "0.01", "60000"), fill(2, "0.02", "60100"), fill(3, "-0.0299", "60000")):
        totals.take(step)
    totals.take(Step((4, 0), units("4.9999"), edited=True))
    assert totals.qty == units("5")
    # What is left cost 6.0066666667, to the unit, which makes an average of 60066.666667.
    assert abs(Decimal("60066.666667") * totals.qty - totals.cost) <= totals.slack
    assert abs(Decimal("60066.67") * totals.qty - totals.cost) > totals.slack


def test_an_edit_that_waits_is_no_breach(run: Run, tmp_path: Path) -> None:
    sabotage = Sabotage(run, tmp_path)
    sabotage.books("UPDATE position SET qty = 'ten' WHERE session_id = 1", repaired=False)
    found = verify(sabotage.folder)
    assert found.holds and any("session 1 dogeusdt: edited" in note for note in found.notes)


def test_a_snapshot_of_records_that_count_is_no_breach(run: Run, tmp_path: Path) -> None:
    sabotage = Sabotage(run, tmp_path)
    acked = {session: sabotage.last("ack", session=session)["sequence"] for session in (1,)}

    def void(lines: list[str]) -> None:
        newest: dict[tuple[str, ...], int] = {}
        records = [json.loads(line) for line in lines[:-1]]
        for at, record in enumerate(records):
            newest[record["kind"], str(record.get("id") or record.get("symbol"))] = at

        def stays(at: int, record: dict[str, Any]) -> bool:
            kind = record["kind"]
            if kind in ("order_state", "cursor"):
                return newest[kind, str(record.get("id") or record.get("symbol"))] == at
            if kind == "event":
                latest = sabotage.last("event", session=record["session"])["sequence"]
                return (
                    bool(record["sequence"] > acked.get(record["session"], 0)) or record["sequence"] == latest
                )
            return kind not in ("answer", "ack")

        lines[:] = [line for at, line in enumerate(lines[:-1]) if stays(at, records[at])]
        lines.append('{"kind":"end","time":1}')

    recalled(void)(sabotage)
    found = verify(sabotage.folder)
    assert found.holds and ": of record" in found.counts["snapshot"], "\n".join(found.lines())
    path = sabotage.folder / "journal.snapshot"
    recalled(list, lambda text: text)(sabotage)
    with closing(sqlite3.connect(sabotage.folder / "journal.db", isolation_level=None)) as file:
        last = file.execute("SELECT max(seq) FROM record").fetchone()[0]
        file.execute("DELETE FROM record WHERE seq = ?", (last,))
    assert path.exists() and any("not of this journal" in note for note in verify(sabotage.folder).notes)


def test_compacted_events_leave_the_rest_proven(run: Run, tmp_path: Path) -> None:
    sabotage = Sabotage(run, tmp_path)
    acked = sabotage.last("ack", session=1)["sequence"]
    with closing(sqlite3.connect(sabotage.folder / "journal.db", isolation_level=None)) as file:
        rows = file.execute("SELECT seq, body FROM record WHERE kind = 'event' ORDER BY seq").fetchall()
        of_first = [(seq, b["sequence"]) for seq, body in rows if (b := json.loads(body))["session"] == 1]
        for seq, number in of_first[:-1]:
            assert number <= acked
            file.execute("UPDATE record SET body = '' WHERE seq = ?", (seq,))
        assert verify(sabotage.folder).holds, "\n".join(verify(sabotage.folder).lines())
        file.execute("UPDATE record SET body = '' WHERE kind = 'order'")
    assert {breach.law for breach in verify(sabotage.folder).breaches} == {"chain"}


def test_the_life_of_an_order_is_told_in_the_journals_order(run: Run) -> None:
    done = pyalgo("explain", run.filled, "--db", run.folder)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert re.fullmatch(rf"order {run.filled}: command \d+ of session 1, epoch \d+", told[0])
    assert told[1] == "BUY 30 dogeusdt MARKET"
    lines = told[4:]
    whats = [
        "recorded for session 1",
        "sent and accepted",
        "NEW",
        "event",
        "fill by trade",
        "FILLED",
        "event",
    ]
    at = [next(n for n, line in enumerate(lines) if what in line) for what in whats[:6]]
    assert at == sorted(at), done.stdout
    for line in lines:
        if "not acknowledged" not in line:
            assert re.match(
                r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z +([+-][\d.]+ (µs|ms|s))? +\d+  ", line
            ), line
    with closing(sqlite3.connect(run.folder / "journal.db")) as file:
        asked = "SELECT venue_id FROM order_state WHERE id = ? AND venue_id IS NOT NULL"
        (number,) = file.execute(asked, (run.filled,)).fetchone()
    again = pyalgo("explain", str(number), "--db", run.folder, "--symbol", "DOGEUSDT")
    assert again.stdout == done.stdout


def test_cancels_and_acknowledgements_are_part_of_the_life(run: Run) -> None:
    told = pyalgo("explain", run.canceled, "--db", run.folder).stdout
    assert "(cancel or amend) was accepted" in told and "CANCELED, filled 0 of 100" in told
    renamed = re.search(r"known there as (c\S+)", told)
    assert renamed and pyalgo("explain", renamed[1], "--db", run.folder).stdout == told, "by its later name"
    assert re.search(
        r"the session has handled event \d+", pyalgo("explain", run.resting, "--db", run.folder).stdout
    )


def test_the_commands_of_the_page_run_as_they_stand(run: Run, tmp_path: Path) -> None:
    (script,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "spot_db").symlink_to(run.folder)
    (tmp_path / "pyalgo").write_text(f'#!/bin/sh\nexec {sys.executable} -m pyalgo "$@"\n')
    (tmp_path / "pyalgo").chmod(0o755)
    script = re.sub(r"o9229n-\S+", run.filled, script)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-ec", script], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and f"order {run.filled}" in done.stdout, done.stdout + done.stderr


def test_a_refused_command_is_told_as_such(run: Run) -> None:
    parts = parse(run.resting)
    assert parts is not None
    name = str(type(parts)(parts.kind, parts.install, parts.epoch, 1, run.refused))
    done = pyalgo("explain", name, "--db", run.folder)
    assert done.returncode == 0 and "refused, nothing was sent: -2" in done.stdout, done.stdout + done.stderr


def test_what_is_not_there_is_said_with_what_to_do(run: Run, tmp_path: Path) -> None:
    for order in ("x-unknown", "999999999", run.filled[:-1] + "#"):
        done = pyalgo("explain", order, "--db", run.folder)
        assert (done.returncode, done.stdout) == (1, "") and "no order" in done.stderr, done
    for arguments in (["explain", "x"], ["verify"]):
        done = pyalgo(*arguments, "--db", tmp_path)
        assert (done.returncode, done.stdout) == (2, "") and "--db" in done.stderr, done
    assert pyalgo("verify", "--bd").returncode == 2
    (tmp_path / "journal.db").write_text("not a database, though long enough to be read as one" * 100)
    done = pyalgo("verify", "--db", tmp_path)
    assert done.returncode == 2 and "journal.db" in done.stderr and "put back a copy" in done.stderr
    shutil.copy(run.folder / "journal.db", tmp_path / "journal.db")
    for spoil in ("DROP TABLE _fee", "DROP TABLE _meta"):
        shutil.copy(run.folder / "pos.db", tmp_path / "pos.db")
        with closing(sqlite3.connect(tmp_path / "pos.db")) as file:
            file.execute(spoil)
        done = pyalgo("verify", "--db", tmp_path)
        assert done.returncode == 2 and "pos.db: no such table" in done.stderr, done
        assert "move it away" in done.stderr
