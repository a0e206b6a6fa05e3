"""`pyalgo explain`: the life of one order as the journal has it, line by line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ._files import Journal, Record, journal
from ._ids import OrderId, parse, stem

Body = dict[str, Any]
_KINDS = ("order", "order_state", "fill", "answer", "event")


class Unknown(Exception):
    """No such order, or more than one; says what to do."""


@dataclass(frozen=True)
class Line:
    """Something that happened to the order; `time` in nanoseconds, where the journal has it."""

    seq: int
    time: int | None
    text: str


def explain(folder: Path, wanted: str, symbol: str | None = None) -> list[str]:
    """All that happened to an order. Raises `Unknown`, or `Unreadable` where there are no files."""
    with journal(folder) as file:
        name = _resolve(file, wanted, symbol)
        orders = [record for record in file.records("order", name) if record.body["id"] == name]
        if not orders:
            return _refused(file, folder, name)
        lines = [line for record in _concerning(file, name) for line in _lines(record, name)]
        lines += _acknowledged(file, lines, orders[0].body["session"])
        lines += _compacted(file)
        return [*_head(file, orders[0].body, name), "", *_table(lines)]


def _resolve(file: Journal, wanted: str, symbol: str | None) -> str:
    """The order's own id: of any name of it, or of its number at the exchange."""
    if not wanted.isdecimal():
        return stem(wanted)
    number = int(wanted)
    found: dict[str, str] = {}
    symbols = {record.body["id"]: record.body["symbol"] for record in file.records("order")}
    for kind, members in (("order_state", ("venue_id", "conditional_id")), ("fill", ("venue_id",))):
        for record in file.records(kind, wanted):
            if number in (record.body.get(member) for member in members):
                name = str(record.body.get("id") or record.body.get("order"))
                found[name] = symbols.get(name, "")
    found = {name: of for name, of in found.items() if of and symbol in (None, of)}
    if len(found) > 1:
        choices = ", ".join(f"{of}: {name}" for name, of in sorted(found.items()))
        raise Unknown(f"number {wanted} is that of several orders ({choices}); add --symbol, or give the id")
    if not found:
        where = f" in {symbol}" if symbol else ""
        raise Unknown(
            f"no order with number {wanted}{where} in {file.path}: numbers are the exchange's; an order "
            "that never came there has none, ask by its id (order_id)"
        )
    return next(iter(found))


def _refused(file: Journal, folder: Path, name: str) -> list[str]:
    """Of a command that made no order there is its answer."""
    parts = parse(name)
    answer = _answer(file, parts) if parts else None
    if answer is not None and parts is not None:
        error = json.loads(answer.body["reply"]).get("error")
        if error:
            lines = [Line(answer.seq, answer.body.get("time"), f"refused, nothing was sent: {_error(error)}")]
            head = f"command {parts.command} of session {parts.session} (epoch {parts.epoch}): no order"
            return [head, "", *_table(lines)]
    hint = (
        f"session {parts.session}, epoch {parts.epoch}, command {parts.command}"
        if parts
        else "not an id of ours"
    )
    raise Unknown(
        f"no order {name} ({hint}) in {folder.resolve()}: is it another gateway's, or another "
        "folder's (--db)? An order the SDK has refused itself never came to the gateway; its `reason` tells"
    )


def _answer(file: Journal, parts: OrderId) -> Record | None:
    wanted = (parts.session, parts.epoch, parts.command)
    for record in file.records("answer", f'"command":{parts.command},'):
        if tuple(record.body[member] for member in ("session", "epoch", "command")) == wanted:
            return record
    return None


def _concerning(file: Journal, name: str) -> Iterator[Record]:
    """Every record that names the order, in the journal's order."""
    found = [record for kind in _KINDS for record in file.records(kind, name)]
    return iter(sorted(found, key=lambda record: record.seq))


def _lines(record: Record, name: str) -> Iterable[Line]:
    body = record.body
    if record.kind == "order" and body["id"] == name:
        yield Line(record.seq, body["time"], _intended(body))
    elif record.kind == "order_state" and body["id"] == name:
        yield Line(record.seq, body["time"], _state(body, name))
    elif record.kind == "fill" and body.get("order") == name:
        yield Line(record.seq, body["time"], _fill(body))
    elif record.kind == "answer":
        yield from _answered(record, name)
    elif record.kind == "event":
        yield from _told(record, name)


def _intended(body: Body) -> str:
    owner = "external" if body["session"] is None else f"session {body['session']}"
    return f"recorded for {owner}: {_terms(body)}"


def _terms(body: Body) -> str:
    size = f"for {body['quote_amount']}" if body.get("quote_amount") else str(body["qty"])
    words = [body["side"], size, body["symbol"], str(body.get("order_type") or "of an unknown type")]
    words += [str(body["tif"])] if body.get("tif") else []
    words += [f"at {body['price']}"] if body.get("price") else []
    words += [f"stop {body['stop']}"] if body.get("stop") else []
    words += ["reduce-only"] if body.get("reduce_only") else []
    return " ".join(words)


def _state(body: Body, name: str) -> str:
    words = f"{body['state']}, filled {body['filled']}"
    words += f" of {body['qty']}" if body.get("qty") not in (None, "0") else ""
    words += f", at the exchange number {body['venue_id']}" if body.get("venue_id") else ""
    if body.get("conditional_id"):
        words += f", conditional order {body['conditional_id']}"
    words += f", known there as {body['known_as']}" if body.get("known_as", name) != name else ""
    return words + (f": {body['reason']}" if body.get("reason") else "")


def _fill(body: Body) -> str:
    fee = f", fee {body['fee']} {body['fee_asset']}" if body.get("fee_asset") else ""
    how = "maker" if body["maker"] else "taker"
    return f"fill by trade {body['trade_id']}: {body['qty']} at {body['price']} ({how}{fee})"


def _error(error: Body) -> str:
    return f"{error.get('code')} {error.get('name')}: {error.get('message')}"


def _answered(record: Record, name: str) -> Iterable[Line]:
    """The answer that made the order, or that to a command about it."""
    body, reply = record.body, json.loads(record.body["reply"])
    result = reply.get("result")
    about = [result.get("order_id"), *result.get("order_ids", [])] if isinstance(result, dict) else []
    if name not in about and name not in str(reply.get("error", "")):
        return
    parts = parse(name)
    own = parts is not None and (parts.epoch, parts.command) == (body["epoch"], body["command"])
    what = "sent and accepted" if own else f"command {body['command']} (cancel or amend) was accepted"
    if name not in about:
        what = f"command {body['command']} was refused: {_error(reply['error'])}"
    yield Line(record.seq, body.get("time"), what)


def _told(record: Record, name: str) -> Iterable[Line]:
    frame = json.loads(record.body["frame"])
    order = frame.get("order") or {}
    if name not in (order.get("order_id"), frame.get("order_id")):
        return
    words = f"event {record.body['sequence']} of generation {record.body['generation']} for the session: "
    if order:
        words += f"{order['state']}, filled {order['filled']}"
        words += f", trade {frame['fill']['trade_id']}" if frame.get("fill") else ""
        words += f" ({order['reason']})" if order.get("reason") else ""
    elif frame["event"] == "cancel_reject":
        words += f"cancel or amend failed: {_error(frame)}"
    else:
        words += f"{frame['event']} {frame.get('code', '')}: {frame.get('message', '')}"
    yield Line(record.seq, frame.get("time"), words)


def _acknowledged(file: Journal, lines: list[Line], session: int | None) -> list[Line]:
    """Where the session acknowledged the events among the lines, or that it did not."""
    told: dict[tuple[int, int], int] = {}
    seqs = {line.seq for line in lines}
    for record in file.records("event", f'"session":{session},') if session is not None else []:
        if record.seq in seqs:
            told[record.body["generation"], record.body["sequence"]] = record.seq
    found = []
    for record in file.records("ack", f'"session":{session},') if told else []:
        place = (record.body["generation"], record.body["sequence"])
        heard = sorted(key for key in told if key[0] == place[0] and key[1] <= place[1])
        if record.body["session"] == session and heard:
            numbers = ", ".join(str(number) for _, number in heard)
            found.append(
                Line(record.seq, record.body.get("time"), f"the session has handled event {numbers}")
            )
            for key in heard:
                del told[key]
    if told:
        numbers = ", ".join(str(number) for _, number in sorted(told))
        found.append(Line(2**63, None, f"not acknowledged yet: event {numbers}"))
    return found


def _compacted(file: Journal) -> Iterator[Line]:
    """Says so where texts are gone that may have been about the order."""
    asked = "SELECT max(seq) FROM record WHERE body = ''"
    (last,) = file.connection.execute(asked).fetchone()
    if last is not None:
        yield Line(last, None, "up to here, old events, answers and acknowledgements were compacted away")


def _head(file: Journal, body: Body, name: str) -> Iterator[str]:
    parts = parse(name)
    if parts is None or body["session"] is None:
        yield f"order {name}: not of a session"
    else:
        answered = _answer(file, parts) is not None
        yield f"order {name}: command {parts.command} of session {parts.session}, epoch {parts.epoch}"
        if not answered:
            yield "no answer to that command is in this journal: the order was found at the exchange"
    yield _terms(body)


def _table(lines: list[Line]) -> Iterator[str]:
    yield f"{'time (UTC)':<27} {'since before':>13} {'record':>8}"
    last: int | None = None
    for line in sorted(lines, key=lambda line: line.seq):
        since = "" if line.time is None or last is None else _span(line.time - last)
        last = last if line.time is None else line.time
        at = "not recorded" if line.time is None else _utc(line.time)
        seq = "" if line.seq == 2**63 else str(line.seq)
        yield f"{at if seq else '':<27} {since:>13} {seq:>8}  {line.text}"


def _utc(nanos: int) -> str:
    seconds, rest = divmod(nanos, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def _span(nanos: int) -> str:
    sign, size = "-" if nanos < 0 else "+", abs(nanos)
    for limit, unit, text in ((10**6, 10**3, "µs"), (10**9, 10**6, "ms")):
        if size < limit:
            return f"{sign}{size / unit:.1f} {text}"
    return f"{sign}{size / 10**9:.3f} s"
