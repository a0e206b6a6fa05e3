"""docs/sdk.md: its examples run at the real gateway and do what the page says."""

from __future__ import annotations

import re
from typing import Any

from sdk.conftest import Connect
from support.system import ROOT, System

from pyalgo import OrderState, OrderType, Side, SmartOrder

PAGE = (ROOT / "docs" / "sdk.md").read_text()


def snippet(name: str) -> str:
    """The one block of that name."""
    (found,) = re.findall(rf"```python {name}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_stop_and_the_close_of_the_page_work_as_they_stand(system: System, connect: Connect) -> None:
    play = connect(system)
    sub = play.depth()
    play.run_until(lambda: sub.ask_level > 0)
    order = SmartOrder(sub)
    names: dict[str, Any] = {"order": order, "sub": sub, "Side": Side, "OrderType": OrderType}
    assert order.send(None, 50, Side.BUY, OrderType.MARKET)
    play.run_until(lambda: order.state == OrderState.FILLED)
    assert sub.net == 49.95, "the fee was taken in DOGE"
    exec(snippet("stop"), names)
    play.run_until(lambda: order.state == OrderState.NEW)
    assert (order.order_type, order.quantity, order.reduce_only) == (OrderType.STOP_LOSS, 49, True)
    assert order.kill()
    play.run_until(lambda: order.state == OrderState.CANCELED)
    exec(snippet("close"), names)
    play.run_until(lambda: order.state == OrderState.FILLED)
    assert 0 < sub.net < sub.lot, "nothing smaller can be sold"
