"""`pyalgo verify`: every promise the files can prove, proved from the files; docs/verify.md says which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from ._files import Damaged, Journal, Window, journal, window
from ._laws import Breach, Laws
from ._reckoning import ONE, Books, shown, units
from ._snapshot import SNAPSHOT, Snapshot

_OURS = "the gateway has made a mistake: stop it, keep both files, and report that record"
_SHOW_ANEW = "stop the gateway and move pos.db away: the next start makes it from the journal"
_KEY = 'two gateways with one key? give each its own "install"; else: ' + _OURS
# What is promised, in the words of the page, and what to do where it does not hold.
LAWS = {
    "chain": (
        "every record is as it was written",
        "somebody wrote into journal.db, or the disk failed: stop the gateway, keep the file, and put back a "
        'copy (docs/ledger.md, "A lost journal")',
    ),
    "I1": ("every fill is booked once", _OURS),
    "I2": (
        "pos.db shows the positions the fills and edits make",
        "if the row was changed and put back while the gateway ran, restart the gateway; else " + _SHOW_ANEW,
    ),
    "I3": ("what is a session's bears its id, and only that", _KEY),
    "I4": ("one order and one answer for each command", _OURS),
    "I5": ("every fill is told to its session once", _OURS),
    "I7": ("no order id is used twice", _KEY),
    "I8": ("what was told to be over stays over", _OURS),
    "I11": ("assets, parts and debts add up", _OURS),
    "I12": (
        "an order that is over has the fills the exchange has counted",
        "compare its fills with the exchange's page: what the exchange no longer shows cannot be booked",
    ),
    "I13": ("no order has more fills than it is for", _OURS),
    "I14": ("events are numbered without a gap, and only those are acknowledged", _OURS),
    "I15": ("pos.db is what the journal makes", _SHOW_ANEW),
    "I21": ("every edit is booked once", _OURS),
    "snapshot": (
        "journal.snapshot leaves out only what later records made void",
        "delete it: the next start reads every record, and a new one is made",
    ),
}


@dataclass
class Findings:
    """What came of it."""

    breaches: list[Breach] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, str] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Does everything hold?"""
        return not self.breaches

    def lines(self) -> Iterator[str]:
        """A line for each promise, or for each breach of it."""
        broken = {breach.law for breach in self.breaches}
        for law, (promise, advice) in LAWS.items():
            if law not in broken and not ("chain" in broken and law != "chain"):
                yield f"ok   {law:<5} {promise}{self.counts.get(law, '')}"
            for breach in (breach for breach in self.breaches if breach.law == law):
                yield f"fail {law:<5} {breach.place}: {breach.what}; {advice}"
        yield from (f"note       {note}" for note in self.notes)


def verify(folder: Path) -> Findings:
    """Looks at the folder's files. Raises `Unreadable` where that cannot be."""
    # The window first: the journal, read afterwards, knows all that it shows.
    shows, recalled = window(folder), Snapshot(folder)
    with journal(folder) as file:
        recalled.belongs(file)
        return _judge(file, shows, recalled)


def _judge(file: Journal, shows: Window | None, recalled: Snapshot) -> Findings:
    laws, found = Laws(), Findings()
    if shows is None:
        found.notes.append("there is no pos.db: the next start makes it")
    elif shows.meta.get("journal", file.id) != file.id:
        what = f"it was written for journal {shows.meta['journal']}, here is {file.id}"
        found.breaches.append(Breach("I15", "pos.db", what))
        shows = None
    last, compared = 0, False
    try:
        for record in file.checked():
            laws.take(record)
            recalled.take(record)
            last = record.seq
            if shows is not None and last == shows.applied:
                found.breaches += compare(laws.books, shows)
                compared = True
    except Damaged as damage:
        place, _, what = str(damage).partition(": ")
        found.breaches.append(Breach("chain", place, f"{what}; nothing after it was looked at"))
        return found
    laws.end()
    if shows is not None and not compared:
        found.breaches += compare(Books(), shows) if shows.applied == 0 else _ahead(shows, last)
    found.breaches += laws.breaches
    if recalled.wrong:
        found.breaches.append(Breach("snapshot", SNAPSHOT, recalled.wrong))
    found.notes += [*laws.notes(), *_edits(shows), *filter(None, [recalled.note])]
    _count(found, laws, shows, last)
    of = (
        f": of record {recalled.row}, {recalled.count} records"
        if recalled.row
        else ": there is none to be used"
    )
    found.counts["snapshot"] = of
    return found


def _ahead(shows: Window, last: int) -> Iterator[Breach]:
    what = (
        f"it has seen record {shows.applied}, the journal ends at {last}: an older copy, or a loss of power"
    )
    yield Breach("I15", "pos.db", what)


def _count(found: Findings, laws: Laws, shows: Window | None, last: int) -> None:
    fills, events, edits = (laws.counts[kind] for kind in ("fill", "event", "adjust"))
    found.counts = {
        "chain": f": {last} of market {laws.market}",
        "I1": f": {fills}",
        "I4": f": {len(laws.orders)} orders, {len(laws.answers)} answers",
        "I14": f": {events}",
        "I21": f": {edits}",
    }
    if shows is not None:
        found.counts["I2"] = f": {len(shows.shadow)}"
        found.counts["I15"] = f" as of record {shows.applied} of {last}"


def _edited(shows: Window) -> set[tuple[str, str]]:
    """Rows the user has changed: they are left alone until the next start."""
    keys = set(shows.position) | set(shows.shadow)
    return {key for key in keys if shows.position.get(key) != shows.shadow.get(key, (None,))[:2]}


def _edits(shows: Window | None) -> Iterator[str]:
    for session, symbol in sorted(_edited(shows)) if shows else []:
        yield f"pos.db, session {session} {symbol}: edited; taken at the gateway's next start"


def compare(books: Books, shows: Window) -> Iterator[Breach]:
    """What differs between the books and what `pos.db` shows."""
    if shows.meta.get("sum", shows.sum) != shows.sum:
        yield Breach(
            "I15", "pos.db", "something other than the gateway wrote into its tables, or changed them"
        )
    left_alone = _edited(shows)
    for key in sorted(set(books.steps) | set(shows.shadow)):
        if key not in left_alone:
            yield from _position(books, shows, *key)
    for key in sorted(set(books.steps) | set(shows.profit)):
        totals, (told, _) = books.position(*key), shows.profit.get(key, ("0", ""))
        if abs(units(told) - totals.realised) > totals.slack:
            place = f"pos.db, _profit of session {key[0]} in {key[1]}"
            yield Breach("I15", place, f"{told} is shown, the journal makes {totals.realised / ONE:.10f}")
    yield from _amounts("_asset of {} in {}", books.assets, shows.asset)
    yield from _amounts("_fee of session {} in {}", books.fees, shows.fee)


def _position(books: Books, shows: Window, session: str, symbol: str) -> Iterator[Breach]:
    totals = books.position(session, symbol)
    qty, average, _ = shows.shadow.get((session, symbol), ("0", "0", 0))
    place = f"pos.db, session {session} in {symbol}"
    if units(qty) != totals.qty:
        yield Breach("I2", place, f"{qty} is shown, the journal makes {shown(totals.qty)}")
    elif abs(Decimal(average) * totals.qty - totals.cost) > totals.slack:
        what = f"average price {average} is shown, the journal makes {totals.average:.10f}"
        yield Breach("I15", place, what)


def _amounts(
    row: str, made: dict[tuple[str, str], int], told: dict[tuple[str, str], str]
) -> Iterable[Breach]:
    for key in sorted(set(made) | set(told)):
        amount = made.get(key, 0)
        if units(told.get(key)) != amount:
            what = f"{told.get(key, 'nothing')} is shown, the journal makes {shown(amount)}"
            yield Breach("I15", f"pos.db, {row.format(*key)}", what)
