"""`session.commit` and the cursor in a strategy's own transaction, at a scripted gateway."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from sdk.conftest import Start
from support.scripted import Frame, Link

from pyalgo import Misuse, Notice, OrderType, SessionClosed, Side, SmartOrder


def notice(link: Link, seq: int, **members: object) -> None:
    """A numbered event."""
    link.send(gen=1, seq=seq, time=1, event="notice", code=f"n{seq}", message="m", **members)


def test_inside_a_callback_the_cursor_is_that_of_its_event(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        call = link.next("order")
        link.ordinary(call)
        link.order(1, call, "NEW")
        notice(link, 2)
        link.serve()

    play = start(script)
    cursors: list[object] = []
    sub = play.depth()
    play.session.on_order = lambda order: cursors.append((play.session.cursor, order.cursor))
    play.session.on_notice = lambda _: cursors.append(play.session.cursor)
    SmartOrder(sub).send(0.2, 10, Side.BUY, OrderType.LIMIT)
    play.run_until(lambda: len(cursors) == 2)
    assert cursors == [((1, 1), (1, 1)), (1, 2)]


def test_an_event_whose_callback_failed_is_not_handled(start: Start) -> None:
    def script(link: Link) -> None:
        link.accept()
        notice(link, 1)
        notice(link, 2)
        link.serve()

    play = start(script)

    def on_notice(told: Notice) -> None:
        if told.code == "n2":
            raise ValueError("of the strategy's own")

    play.session.on_notice = on_notice
    with pytest.raises(ValueError, match="own"):
        play.eng.run()
    assert play.session.cursor == (1, 1)
    again: list[object] = []
    play.session.on_notice = lambda this: again.append((this.code, play.session.cursor))
    play.run_until(lambda: again)
    assert again == [("n2", (1, 2))], "it is the first of the next turn"


def test_without_autocommit_only_commit_acknowledges(start: Start) -> None:
    links: list[Link] = []

    def script(link: Link) -> None:
        links.append(link)
        link.accept()
        for seq in range(1, 6):
            notice(link, seq)
        link.serve()

    play = start(script, autocommit=False)
    told: list[str] = []

    def on_notice(this: Notice) -> None:
        told.append(this.code)
        if this.code == "n2":
            play.session.commit()
        if this.code == "n4":
            with pytest.raises(Misuse, match="event 1/5 was not told yet: the last one is 1/4"):
                play.session.commit((1, 5))
            play.session.commit((1, 3))
            play.session.commit((1, 1))
            play.session.commit((0, 99))

    play.session.on_notice = on_notice
    # The other thread may have heard of the fourth before this one has read the fifth.
    play.run_until(lambda: len(links[0].acks) == 2 and len(told) == 5)
    assert told == ["n1", "n2", "n3", "n4", "n5"]
    assert links[0].acks == [{"gen": 1, "seq": 2}, {"gen": 1, "seq": 3}]
    play.session.commit()
    play.run_until(lambda: len(links[0].acks) == 3)
    assert links[0].acks[2] == {"gen": 1, "seq": 5}
    play.session.close()
    with pytest.raises(SessionClosed):
        play.session.commit()


def test_a_cursor_the_gateway_cannot_go_on_from_is_told(start: Start) -> None:
    logins: list[Frame] = []

    def script(link: Link) -> None:
        login = link.greet()
        logins.append(login["params"])
        link.let_in(login, resume="snapshot", last={"gen": 2, "seq": 7})
        link.send(event="snapshot", gen=2, seq=7, time=1, orders=[], positions=[])
        link.send(gen=2, seq=8, time=1, event="notice", code="next", message="m")
        link.serve()

    play = start(script, cursor=(1, 41))
    told: list[object] = []
    play.session.on_notice = lambda this: told.append((this.code, play.session.cursor))
    assert play.session.cursor == (1, 41)
    play.run_until(lambda: len(told) == 2)
    assert logins[0]["cursor"] == {"gen": 1, "seq": 41}
    assert told == [("snapshot", (2, 7)), ("next", (2, 8))]


def test_the_cursor_of_the_example_only_moves_forward(tmp_path: Path) -> None:
    file = Path(__file__).parents[2] / "examples" / "exactly_once.py"
    ledger = runpy.run_path(str(file))["Ledger"](str(tmp_path / "own.db"))
    change = SimpleNamespace(
        order_id="o", state="FILLED", trade_id=7, side="BUY", trade_quantity=1.0, trade_price=2.0
    )
    assert ledger.cursor() is None
    for cursor in [(1, 4), (1, 5), (1, 5), (1, 3), (0, 99), (2, 1)]:
        ledger.book(change, cursor)
    ledger.reach((2, 3))
    ledger.reach((2, 2))
    assert ledger.cursor() == (2, 3)
    ledger.book(change, (2, 3))
    booked = ledger.db.execute("SELECT generation, sequence FROM event").fetchall()
    assert booked == [(1, 4), (1, 5), (2, 1)], "what another copy has booked is passed over"
    fills = ledger.db.execute("SELECT trade_id, side FROM fill").fetchall()
    assert fills == [(7, "BUY")], "one trade is one fill, also under new numbers"
    ledger.skip((1, 8))
    assert ledger.cursor() == (1, 8), "where the gateway says that events go on"
    ledger.db.close()
