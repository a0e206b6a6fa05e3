"""The SDK at the real gateway and the simulated exchange."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sdk.conftest import Connect
from support.processes import Exchange, free_port, trading
from support.system import System, wait_for

from pyalgo import (
    BadProof,
    ConnectError,
    Engine,
    InvalidSymbol,
    NotReady,
    OrderState,
    OrderType,
    Side,
    SmartOrder,
    Tif,
)


def test_row_004_03_an_order_from_the_strategy_to_the_exchange_and_back(
    system: System, connect: Connect
) -> None:
    play = connect(system)
    sub = play.session.subscribe("dogeusdt", "depth:100ms")
    order = SmartOrder(sub)
    states: list[Any] = []
    sub.on_order = lambda told: states.append(told.state)
    play.run_until(lambda: play.session.state == "ready" and sub.bid_level)
    assert order.send(sub.ask_prc(0) * 1.01, 10, Side.BUY, OrderType.LIMIT, Tif.GTC)
    play.run_until(lambda: not order.is_active and order.state is not None)
    assert order.state == OrderState.FILLED
    assert states[-1] == OrderState.FILLED
    assert sum(float(trade["qty"]) for trade in system.trades()) == 10.0

    def shown() -> bool:
        held = {key: float(quantity) for key, quantity in system.positions().items()}
        return held == {(1, "dogeusdt"): sub.net}

    wait_for("pos.db", shown)


def test_a_strategy_may_begin_before_the_exchange_is_reached(tmp_path: Path) -> None:
    port = free_port()
    with trading(tmp_path, port=port) as (exchange, gateway), Engine() as eng:
        public_key = (tmp_path / "public_key.pem").read_text()
        exchange.kill()
        gateway.start()
        session = eng.make_session(gateway.url, 1, token_file=tmp_path / "token", wait=0.1)
        sub, wrong = (session.subscribe(symbol, "depth:100ms") for symbol in ("dogeusdt", "nosuch"))
        errors: list[Any] = []
        session.on_error = errors.append
        stale: list[str] = []
        sub.on_stale = lambda reason: (stale.append(reason), eng.stop())
        eng.run()
        assert "has not read the exchange's symbols since its start (" in stale[0]
        history = lambda: session.history("dogeusdt", "1m", 1)  # noqa: E731
        for ask in (lambda: sub.tick_size, session.products, history):
            with pytest.raises(NotReady, match="not read the exchange's symbols"):
                ask()
        again = Exchange(tmp_path, public_key, port=port)
        try:
            sub.on_stale, sub.on_data = stale.append, lambda _: eng.stop()
            eng.run()
            assert (sub.is_stale, sub.tick_size, wrong.is_stale) == (False, 0.00001, True)
            assert [error.code for error in errors] == [InvalidSymbol.code]
        finally:
            again.kill()


@pytest.mark.parametrize("slashes", ["", "//"])
def test_a_strategy_comes_in_by_the_unix_socket(tmp_path: Path, slashes: str) -> None:
    path = tmp_path / "s.sock"
    system = System(tmp_path, unix_socket="s.sock")
    try:
        with Engine() as eng:
            session = eng.make_session(f"unix:{slashes}{path}", 1, name="unix", trading=True)
            sub = session.subscribe("dogeusdt", "depth:100ms")
            order = SmartOrder(sub)
            sub.on_data = lambda _: order.send(sub.bid_prc(5), 10, Side.BUY, OrderType.LIMIT)
            sub.on_order = lambda told: told.state == OrderState.NEW and eng.stop()
            eng.run()
            assert order.state == OrderState.NEW
        token = path.with_name("s.sock.token")
        assert token.stat().st_mode & 0o777 == 0o600
        token.write_text("0" * 64)
        with pytest.raises(BadProof):
            Engine().make_session(f"unix:{path}", 1)
        assert system.gateway.running.end() == 143
        assert not path.exists() and not token.exists()
        with pytest.raises(ConnectError, match="no gateway at unix:"):
            Engine().make_session(f"unix:{path}", 1)
    finally:
        system.stop()
