"""What must hold in a gateway's journal, record by record. Each breach names its row."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ._files import Record
from ._ids import parse
from ._reckoning import EXTERNAL, UNATTRIBUTED, Books, owner_of, shown, units

ENDS = ("FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH")


class Breach(NamedTuple):
    """A law that does not hold, and where."""

    law: str
    place: str
    what: str


@dataclass
class Order:
    """What the journal has said of an order so far."""

    seq: int
    session: int | None
    symbol: str
    qty: int
    venue_id: int | None = None
    filled: int = 0
    counted: int = 0
    last_fill: int = 0
    ended: tuple[int, str] | None = None
    told_over: tuple[int, str] | None = None
    told: bool = False


# Kinds of records that hold something of an account: from the first of them on a journal is that account's.
OF_AN_ACCOUNT = {
    "order", "order_state", "fill", "cash", "funding", "charge", "debt", "allocation", "cursor", "scanned",
}  # fmt: skip


@dataclass
class Laws:
    """Takes one record after the other; `breaches` has what was found."""

    books: Books = field(default_factory=Books)
    breaches: list[Breach] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    fills: dict[tuple[Any, ...], tuple[int, int]] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    answers: dict[tuple[int, int, int], int] = field(default_factory=dict)
    told_fills: dict[tuple[Any, ...], int] = field(default_factory=dict)
    untold: dict[tuple[Any, ...], tuple[int, str]] = field(default_factory=dict)
    events: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    acked: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    accepted: dict[tuple[int, str, int], tuple[int, str | None]] = field(default_factory=dict)
    shares: dict[tuple[Any, ...], dict[int, tuple[int, int]]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    unexplained: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    gaps: dict[int, tuple[int, int]] = field(default_factory=dict)
    hidden: int = 0
    hidden_until: int = 0
    generation: int = 0
    epoch: int = -1
    install: str = ""
    market: str = ""
    bound: bool = False
    after_end: dict[str, tuple[int, str]] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        """Judges a record by all that came before it."""
        self.counts[record.kind] += 1
        if not record.body:
            self._compacted(record)
            return
        self.bound = self.bound or record.kind in OF_AN_ACCOUNT
        judge = getattr(self, f"_take_{record.kind}", None)
        if judge is not None:
            judge(record.seq, record.body)
        self.books.take(record.kind, record.body)

    def _compacted(self, record: Record) -> None:
        """A record without text: of events so many numbers may be missing."""
        if record.kind == "event":
            self.hidden += 1
            self.hidden_until = record.seq

    def end(self) -> None:
        """Judges what only the whole journal can show."""
        for seq, what in self.after_end.values():
            self._found("I8", seq, what)
        for name, order in self.orders.items():
            if order.session is None:
                continue
            if 0 < order.qty < order.filled:
                what = f"order {name} has fills of {shown(order.filled)}, it is for {shown(order.qty)}"
                self._found("I13", order.last_fill, what)
            # While a symbol's past is being read, an order may stand there before its fills.
            if order.ended and order.filled != order.counted and order.symbol not in self.unread:
                seq, state = order.ended
                what = f"{state} with {shown(order.counted)} filled, its fills are {shown(order.filled)}"
                self._found("I12", seq, f"order {name}: {what}")
        for key, parts in self.shares.items():
            _, whole = self.fills.get(key, (0, 0))
            given, last = sum(qty for qty, _ in parts.values()), max(seq for _, seq in parts.values())
            if given > whole:
                what = f"trade {key[1]} of {key[0]}: {shown(given)} allocated of a fill of {shown(whole)}"
                self._found("I11", last, what)
        for session, (number, seq) in self.gaps.items():
            if number > self.acked[session]:
                self._found(
                    "I14", seq, f"event {number} of session {session} is gone and was not acknowledged"
                )
        for (_, trade, _), (seq, name) in self.untold.items():
            if self.orders[name].told and seq > self.hidden_until:
                self._found("I5", seq, f"fill by trade {trade} of order {name} was told by no event")

    def _found(self, law: str, seq: int, what: str) -> None:
        self.breaches.append(Breach(law, f"record {seq}", what))

    def _take_start(self, seq: int, body: dict[str, Any]) -> None:
        if body["epoch"] <= self.epoch:
            self._found("I7", seq, f"epoch {body['epoch']} is not above {self.epoch}: order ids repeat")
        # A journal that holds nothing of an account yet is anybody's of its market.
        other = body["install"] != self.install and self.bound
        if self.market and (body["market"] != self.market or other):
            self._found("I3", seq, f"install {body['install']} of {body['market']} in a journal of another")
        self.epoch, self.market, self.install = body["epoch"], body["market"], body["install"]

    def _take_generation(self, seq: int, body: dict[str, Any]) -> None:
        if body["generation"] <= self.generation:
            self._found("I14", seq, f"generation {body['generation']} is not above {self.generation}")
        self.generation = body["generation"]
        self.hidden = 0
        self.gaps.clear()
        self.events.clear()
        self.acked.clear()

    def _take_listing(self, _: int, body: dict[str, Any]) -> None:
        if body.get("unread"):
            self.unread.add(body["symbol"])

    def _take_scanned(self, _: int, body: dict[str, Any]) -> None:
        self.unread.discard(body["symbol"])

    def _take_order(self, seq: int, body: dict[str, Any]) -> None:
        name, session = body["id"], body["session"]
        if name in self.orders:
            self._found("I7", seq, f"order id {name} is that of record {self.orders[name].seq} already")
            return
        self.orders[name] = Order(seq, session, body["symbol"], units(body["qty"]))
        if session is None:
            return
        parts = parse(name)
        if parts is None:
            self._found("I3", seq, f"order {name} is session {session}'s, and its id is not one of a gateway")
        elif (parts.kind, parts.install, parts.session) != ("o", self.install, session):
            whose = f"session {parts.session} of install {parts.install}"
            self._found("I3", seq, f"order {name} is session {session}'s, its id says {whose}")

    def _take_order_state(self, seq: int, body: dict[str, Any]) -> None:
        order = self.orders.get(body["id"])
        if order is None:
            self._found("I4", seq, f"a state of order {body['id']}, which no record makes")
            return
        self._number(seq, body["id"], order, body.get("venue_id"))
        order.qty = max(order.qty, units(body.get("qty")))
        order.counted = max(order.counted, units(body["filled"]))
        if body["state"] in ENDS:
            order.ended = order.ended or (seq, body["state"])
        elif body["state"] == "NOT_PLACED":
            order.ended = None
        elif order.ended:
            what = (
                f"order {body['id']} is {body['state']}, and was {order.ended[1]} by record {order.ended[0]}"
            )
            self._found("I8", seq, what)

    def _number(self, seq: int, name: str, order: Order, venue_id: int | None) -> None:
        """A session's order has one number at the exchange."""
        if venue_id is None or order.session is None:
            return
        order.venue_id = order.venue_id or venue_id
        if order.venue_id != venue_id:
            what = f"order {name} is number {venue_id} at the exchange, and was {order.venue_id}"
            self._found("I4", seq, f"{what}: two orders of one command")

    def _take_fill(self, seq: int, body: dict[str, Any]) -> None:
        key = (body["symbol"], body["trade_id"], body["venue_id"])
        if key in self.fills:
            what = f"trade {key[1]} of order number {key[2]} in {key[0]}"
            self._found("I1", seq, f"{what} is booked by record {self.fills[key][0]} already")
            return
        self.fills[key] = (seq, units(body["qty"]))
        name = str(body.get("order"))
        order = self.orders.get(name)
        if order is None:
            if body["session"] is not None:
                self._found("I3", seq, f"a fill is session {body['session']}'s, and of no order known")
            return
        if order.session != body["session"]:
            owner = "nobody's" if order.session is None else f"session {order.session}'s"
            self._found("I3", seq, f"booked for session {body['session']}, order {name} is {owner}")
        self._number(seq, name, order, body["venue_id"])
        if order.told_over and order.counted <= order.filled:
            end, state = order.told_over
            what = f"a fill of order {name}, which was told to be {state} by record {end}"
            # It may have come back by this fill: that is told right after it.
            self.after_end.setdefault(name, (seq, what))
        order.filled += units(body["qty"])
        order.last_fill = seq
        if order.session is not None:
            self.untold[key] = (seq, name)

    def _take_event(self, seq: int, body: dict[str, Any]) -> None:
        session, number = body["session"], body["sequence"]
        wanted = self.events[session] + 1
        if 0 < number - wanted <= self.hidden:
            self.hidden -= number - wanted
            self.gaps[session] = (number - 1, seq)
            wanted = number
        if (body["generation"], number) != (self.generation, wanted):
            what = f"event {number} of generation {body['generation']} for session {session}"
            self._found("I14", seq, f"{what}, expected is {wanted} of {self.generation}")
        self.events[session] = number
        frame = json.loads(body["frame"])
        if (frame["gen"], frame["seq"]) != (body["generation"], number):
            self._found("I14", seq, f"its frame is numbered {frame['gen']}, {frame['seq']}")
        if frame["event"] == "order":
            self._told(seq, frame)
        elif frame.get("code") == "resurrected" and frame.get("order_id") in self.orders:
            self.orders[frame["order_id"]].told_over = None
            self.after_end.pop(frame["order_id"], None)

    def _told(self, seq: int, frame: dict[str, Any]) -> None:
        """A session was told of its order."""
        told = frame["order"]
        name, state = told["order_id"], told["state"]
        order = self.orders.get(name)
        if order is None:
            self._found("I4", seq, f"order {name} is told of, which no record makes")
            return
        order.told = True
        if state not in ENDS and order.told_over:
            end, before = order.told_over
            self._found("I8", seq, f"order {name} is told to be {state}, and {before} by record {end}")
        if state in ENDS:
            order.told_over = order.told_over or (seq, state)
            if units(told["filled"]) != order.filled:
                what = f"told to be {state} with {told['filled']} filled, its fills are {shown(order.filled)}"
                self._found("I12", seq, f"order {name} is {what}")
        if fill := frame.get("fill"):
            key = (told["symbol"], fill["trade_id"], name)
            if key in self.told_fills:
                what = f"fill by trade {fill['trade_id']} of order {name}"
                self._found("I5", seq, f"{what} was told by record {self.told_fills[key]} already")
            self.told_fills[key] = seq
            self.untold.pop((told["symbol"], fill["trade_id"], order.venue_id), None)

    def _take_ack(self, seq: int, body: dict[str, Any]) -> None:
        session, number = body["session"], body["sequence"]
        if body["generation"] != self.generation:
            return
        if not self.acked[session] < number <= self.events[session] + self.hidden:
            told, before = self.events[session], self.acked[session]
            what = f"session {session} acknowledges event {number} of {told} told, and had {before} before"
            self._found("I14", seq, what)
        self.acked[session] = max(self.acked[session], number)

    def _take_answer(self, seq: int, body: dict[str, Any]) -> None:
        key = (body["session"], body["epoch"], body["command"])
        if key in self.answers:
            what = f"command {key[2]} of session {key[0]} was answered by record {self.answers[key]} already"
            self._found("I4", seq, what)
        self.answers[key] = seq
        reply = json.loads(body["reply"]).get("result")
        name = reply.get("order_id") if isinstance(reply, dict) else None
        parts = parse(name) if name else None
        asked = parts and (parts.session, parts.epoch, parts.command) == key
        if asked and name not in self.orders:
            self._found("I4", seq, f"order {name} was accepted, and no record makes it")

    def _take_adjust(self, seq: int, body: dict[str, Any]) -> None:
        key = (body["session"], body["symbol"], body["revision"])
        qty, delta, price = units(body["qty"]), units(body["delta"]), body.get("avg_price")
        base, known = self.accepted.get(key, (units(body["shown"]), None))
        row = f"the row of session {key[0]} in {key[1]}"
        if delta != qty - base:
            what = f"{shown(base)} was accepted before and {shown(qty)} now, booked is {shown(delta)}"
            self._found("I21", seq, f"{row}: {what}")
        elif not delta and price in (None, known):
            self._found("I21", seq, f"{row}: an edit that changes nothing, or the same one twice")
        self.accepted[key] = (qty, price or known)

    def _take_allocation(self, seq: int, body: dict[str, Any]) -> None:
        key = (body["symbol"], body["trade_id"], body["venue_id"])
        self.shares[key][body["session"]] = (units(body["qty"]), seq)

    def _take_cash(self, _: int, body: dict[str, Any]) -> None:
        if owner_of(body) == UNATTRIBUTED:
            self.unexplained[body["asset"]] += units(body["delta"])

    def _take_debt(self, seq: int, body: dict[str, Any]) -> None:
        asset, liabilities = body["asset"], self.books.liabilities(body["asset"])
        if units(body["liabilities"]) != liabilities:
            what = f"sessions and {EXTERNAL} owe {shown(liabilities)} {asset}, told is {body['liabilities']}"
            self._found("I11", seq, what)
        if units(body["difference"]) != units(body["owed"]) - units(body["liabilities"]):
            self._found("I11", seq, f"difference {body['difference']} is not owed less liabilities")

    def notes(self) -> Iterator[str]:
        """What is no breach, and worth a look."""
        for asset, amount in self.unexplained.items():
            if amount:
                yield f"{UNATTRIBUTED} has {shown(amount)} {asset}: differences nobody has explained"
