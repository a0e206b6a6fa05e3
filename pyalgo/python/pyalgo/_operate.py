"""The commands of an operator: what a running gateway is asked and told; docs/operating.md."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ._core import Operator
from ._errors import Error
from ._exits import DONE, INTERRUPTED, REFUSED, as_json, exit_code
from ._limits import WrongLimit, changed
from ._output import Output
from ._tables import age, moment, plain, table

Reply = Any
Lines = Iterator[str]

# How often a stop is looked at while it is waited for, in seconds: each look tells all orders that are still
# live, and the gateway that says so is the one that has to cancel them.
LOOK_EVERY, LOOK_EVERY_AT_MANY = 0.1, 1.0
MANY = 100
# How the gateway ends its words about a position that will not be closed; docs/stopping.md.
_STAYS = ": it stays"
# What keeps orders from being taken, and no other line of `status` tells.
_OTHERWISE_UNTOLD = ("stopping", "clock_off", "rate_stopped", "bad_position")


class Answer(NamedTuple):
    """What a command has to show."""

    shown: Any
    lines: list[str]
    code: int = DONE


def operate(asked: Namespace, out: Output) -> int:
    """Runs a command against the gateway; the exit code."""
    command, watch = COMMANDS[asked.command], getattr(asked, "watch", None)
    try:
        if watch is not None and changes(asked):
            raise WrongLimit("--watch shows again and again; what is changed is changed once")
        operator = Operator(
            asked.addr, token_file=asked.token_file, ca=asked.ca, timeout=asked.timeout, name=asked.name
        )
        while True:
            answer = command(operator, asked)
            _show(asked, answer, out)
            if watch is None or out.lost:
                break
            time.sleep(watch)
        operator.close()
    except (Error, ValueError, OSError) as error:
        if asked.json:
            out.say(json.dumps(as_json(error)))
        out.complain(str(error))
        return exit_code(error)
    except KeyboardInterrupt:
        # The end of watching; what was asked for otherwise may or may not be done.
        return INTERRUPTED if watch is None else DONE
    return answer.code


def changes(asked: Namespace) -> bool:
    """Does the command do something, or only ask?"""
    if asked.command == "limits":
        return bool(asked.reset or asked.file or asked.set or asked.unset)
    return asked.command in ("kill", "clear", "pause", "resume")


def ask(operator: Operator, method: str, **params: Any) -> Reply:
    """The reply to a request."""
    return json.loads(operator.ask(method, json.dumps(params)))


def _show(asked: Namespace, answer: Answer, out: Output) -> None:
    if asked.json:
        out.say(json.dumps(answer.shown))
        return
    if getattr(asked, "watch", None) is not None:
        out.say(datetime.now(UTC).strftime("-- %Y-%m-%d %H:%M:%S UTC"))
    out.say("\n".join(map(plain, answer.lines)))


def _status(operator: Operator, asked: Namespace) -> Answer:
    told = ask(operator, "operator.status")
    return Answer(told, list(_status_lines(told)))


def _status_lines(told: Reply) -> Lines:
    now = told["time"]
    gateway = f"{told['gateway']}, {told['market']}, install {told['install']}, epoch {told['epoch']}"
    yield f"gateway     {gateway}, up {age(now - told['started'])}"
    reason = f": {told['reason']}" if told.get("reason") else ""
    yield f"state       {told['state']}{reason}"
    yield from stop_lines(told["stop"], now)
    for problem in told["problems"]:
        if problem["kind"] in _OTHERWISE_UNTOLD:
            yield f"in the way  {problem['kind'].replace('_', ' ')}: {problem['reason']}"
    for name, link in (("orders", told["entry"]), ("market data", told["feed"])):
        why = f": {link['reason']}" if link.get("reason") else ""
        yield f"{name:<11} {'up' if link['up'] else 'down'} for {age(now - link['since'])}{why}"
    looked = f", last look {age(now - told['looked'])} ago" if told["looked"] else ""
    yield f"recovery    {told['recovery']}{looked}"
    for symbol in told["not_ready"]:
        yield f"not ready   {symbol['symbol']}: {symbol['reason']}"
    if clock := told["clock"]:
        offset, trip = clock["offset_ns"] / 1e6, clock["round_trip_ns"] / 1e6
        yield f"clock       {offset:+.1f} ms, round trip {trip:.1f} ms, {age(now - clock['measured'])} ago"
    sessions, orders = told["sessions"], told["orders"]
    yield f"sessions    {sessions['connected']} connected, {sessions['known']} known"
    unknown = f"{orders['unknown']} unknown, {orders['external']} of no session"
    yield f"open orders {orders['open']}, of them {unknown}"
    for window in told["budget"]:
        kind, span = window["kind"].replace("_", " "), age(window["window_ms"] * 1_000_000)
        yield f"budget      {window['used']} of {window['limit']} {kind} in {span}"
    journal = told["journal"]
    wrong = f"cannot be written: {journal['failed']}" if journal["failed"] else "written"
    yield f"journal     {wrong}, {journal['waiting']} batches on their way"
    if told["differences"]:
        yield f"books       {told['differences']} assets differ from the exchange: pyalgo positions"
    if told["foreign_gateway"]:
        yield f"alarm       another gateway uses this key: it made order {told['foreign_gateway']}"
    yield f"limits      {told['limits']}"


def stop_lines(stop: Reply, now: int) -> Lines:
    """How kill switch and pauses stand."""
    if killed := stop["killed"]:
        flatten = ", positions are closed" if killed["flatten"] else ""
        yield f"KILLED      by {_whom(killed)}, for {age(now - killed['since'])}{flatten}"
        for order in stop["live"]:
            yield f"still live  {order['order_id']} {order['symbol']}: {order['last']}"
        for closing in stop["closing"]:
            held = f"{closing['net']} {closing['symbol']}: {closing['last']}"
            yield f"{'stays' if _stays(closing) else 'still held':<11} session {closing['session']}, {held}"
        if stop["confirmed"]:
            yield f"confirmed   the exchange lists none of these orders, since {moment(stop['confirmed'])}"
        if stop["others"]:
            yield f"left alone  {stop['others']} open orders that are of no session: pyalgo orders"
    if paused := stop["paused_all"]:
        yield f"PAUSED      all sessions by {_whom(paused)}, for {age(now - paused['since'])}"
    for session, paused in stop["paused"].items():
        yield f"PAUSED      session {session} by {_whom(paused)}, for {age(now - paused['since'])}"
    for lost in stop["lost"]:
        yield f"lost        session {lost['session']}, for {age(now - lost['since'])}: {lost['why']}"
    if stop["not_kept"]:
        yield f"not kept    a restart would forget kill switch and pauses: {stop['not_kept']}"


def _whom(who: Reply) -> str:
    return f"{who['by']} ({who['reason']})" if who["reason"] else str(who["by"])


def _sessions(operator: Operator, asked: Namespace) -> Answer:
    told = ask(operator, "operator.sessions")
    head = ("session", "name", "connected", "trading", "orders", "unknown", "positions", "unacknowledged")
    rows = [
        (
            row["session_id"], row["name"], moment(row["since"]) if row["connected"] else "no",
            "yes" if row["trading"] else "no", row["open_orders"], row["unknown_orders"], row["positions"],
            row["unacknowledged"],
        )
        for row in told
    ]  # fmt: skip
    return Answer(told, table(head, rows, "sessions"))


def _of_session(asked: Namespace) -> dict[str, int]:
    return {} if asked.session is None else {"session_id": asked.session}


def _orders(operator: Operator, asked: Namespace) -> Answer:
    told = ask(operator, "operator.orders", **_of_session(asked))
    head = ("session", "order", "symbol", "side", "type", "qty", "filled", "price", "stop", "state", "since")
    rows = [
        (
            "-" if row["session_id"] is None else row["session_id"], row["order_id"], row["symbol"],
            row["side"], row["type"] or "?", row.get("quote_amount", row["qty"]), row["filled"],
            row.get("price", "-"),
            row.get("stop_price", "-"), row["state"] + (" canceling" if row["canceling"] else ""),
            moment(row["time"]),
        )
        for row in told
    ]  # fmt: skip
    return Answer(told, table(head, rows, "open orders"))


def _positions(operator: Operator, asked: Namespace) -> Answer:
    told = ask(operator, "operator.positions", **_of_session(asked))
    keys = ("session_id", "symbol", "net", "avg_price", "realised")
    held = [tuple(row[key] for key in keys) for row in told["positions"]]
    lines = table(("session", "symbol", "net", "average", "realised"), held, "positions")
    assets = []
    for asset in told["assets"]:
        own = " + ".join(f"{row['session_id']}: {row['amount']}" for row in asset["sessions"]) or "0"
        seen = ("?", "?") if asset["exchange"] is None else (asset["exchange"], asset["difference"])
        assets.append(
            (asset["asset"], own, asset["external"], asset["unattributed"], asset["clearing"], *seen)
        )
    head = ("asset", "sessions", "external", "unattributed", "clearing", "exchange", "difference")
    lines += ["", *table(head, assets, "assets")]
    if not told["compared"]:
        lines.append("not compared with the exchange yet")
    return Answer(told, lines)


def _limits(operator: Operator, asked: Namespace) -> Answer:
    if asked.reset and (asked.file or asked.set or asked.unset):
        raise WrongLimit("--reset takes the limits of the configuration, all of them: nothing goes with it")
    told = ask(operator, "operator.limits")
    if changes(asked):
        limits = None if asked.reset else changed(told["limits"], asked.file, asked.set, asked.unset)
        told = ask(operator, "operator.set_limits", limits=limits, revision=told["revision"])
    lines = list(_limits_lines(told))
    return Answer(told, lines)


def _limits_lines(told: Reply) -> Lines:
    since = f", set {moment(told['set'])} UTC" if told["set"] else ""
    yield f"limits of: {told['source']}, revision {told['revision']}{since}"
    head = ("whose", "limit", "of", "used", "value")
    rows = [
        (
            "account" if row["session_id"] is None else f"session {row['session_id']}", row["limit"],
            row.get("of", ""), "-" if row["used"] is None else row["used"], row["value"],
        )
        for row in told["in_force"]
    ]  # fmt: skip
    yield from table(head, rows, "limits")
    if told["limits"].get("refuse_self_trade"):
        yield "orders that would trade with another of the account are refused"
    for name in told["misnamed"]:
        yield f"the exchange has no {name}: what is limited under that name bounds nothing"


def _kill(operator: Operator, asked: Namespace) -> Answer:
    stop = ask(operator, "operator.kill", flatten=asked.flatten, reason=asked.reason)
    return _stopped(operator, stop, asked.wait, _is_empty)


def _is_empty(stop: Reply) -> bool:
    """Is there nothing left at the exchange that was to go and can, by its own word?"""
    return bool(stop["confirmed"] and not stop["live"] and all(map(_stays, stop["closing"])))


def _stays(closing: Reply) -> bool:
    """Is it a position that will not be closed, as no order for it would be taken?"""
    return str(closing["last"]).endswith(_STAYS)


def _stopped(operator: Operator, stop: Reply, wait: float, is_done: Callable[[Reply], bool]) -> Answer:
    """How it stands once it is done and a restart would remember it too, or time is over."""
    until = time.monotonic() + wait
    late = False
    while not _holds(stop, is_done) and not late:
        late = time.monotonic() >= until
        time.sleep(LOOK_EVERY if len(stop["live"]) < MANY else LOOK_EVERY_AT_MANY)
        stop = ask(operator, "operator.status")["stop"]
    lines = list(stop_lines(stop, time.time_ns()))
    if not is_done(stop):
        lines.append("not finished; the gateway goes on: pyalgo status")
    return Answer(stop, lines or ["nothing is stopped"], DONE if _holds(stop, is_done) else REFUSED)


def _holds(stop: Reply, is_done: Callable[[Reply], bool]) -> bool:
    return is_done(stop) and not stop["not_kept"]


def _stop(method: str) -> Callable[[Operator, Namespace], Answer]:
    def command(operator: Operator, asked: Namespace) -> Answer:
        params = {"session_id": asked.session} if getattr(asked, "session", None) is not None else {}
        if hasattr(asked, "reason"):
            params["reason"] = asked.reason
        stop = ask(operator, method, **params)
        return _stopped(operator, stop, asked.timeout, lambda _: True)

    return command


COMMANDS: dict[str, Callable[[Operator, Namespace], Answer]] = {
    "status": _status,
    "sessions": _sessions,
    "orders": _orders,
    "positions": _positions,
    "limits": _limits,
    "kill": _kill,
    "clear": _stop("operator.clear"),
    "pause": _stop("operator.pause"),
    "resume": _stop("operator.resume"),
}

__all__ = ["COMMANDS", "WrongLimit", "operate"]
