"""What a key may do besides trading: the exchange is asked, and one that may withdraw is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import APIKEY, Exchange, Frame, Gateway, eventually, free_port, trading

MARKETS = ("spot", "margin", "usdt")
WITHDRAWS = {"apikey": APIKEY, "withdrawals": True}
ANYWHERE = {"apikey": APIKEY, "ip_restricted": False}


@pytest.fixture(params=MARKETS)
def market(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Exchange, Gateway]]:
    """An exchange, and a gateway that knows where it tells the rights of keys."""
    exe = "usdt" if request.param == "usdt" else "spot"
    with trading(tmp_path, exe=exe) as (exchange, gateway):
        name = "sapi" if exe == "usdt" else "rest"
        gateway.config["endpoints"] = {**gateway.config["endpoints"], name: exchange.listening["rest"]}
        if request.param == "margin":
            gateway.config["margin"] = True
            body = {"account": "main", "asset": "USDT", "amount": "10000"}
            exchange.control("POST", "/control/margin/transfer", body)
        gateway.write_config()
        yield exchange, gateway


def test_r71_a_key_that_may_withdraw_ends_every_gateway(market: tuple[Exchange, Gateway]) -> None:
    exchange, gateway = market
    exchange.control("POST", "/control/key", WITHDRAWS)
    done = gateway.run(f"-c={gateway.exe}.json")
    assert done.returncode == 78, done.stderr
    assert "may withdraw" in done.stderr and "API management" in done.stderr
    checked = gateway.run("check", f"-c={gateway.exe}.json")
    assert checked.returncode == 78 and "fail account: the API key may withdraw" in checked.stdout
    exchange.control("POST", "/control/key", WITHDRAWS | {"withdrawals": False})
    gateway.start()
    gateway.client()
    assert not gateway.logged("key without IP restriction")


def test_r71_a_key_bound_to_no_address_is_warned_of(market: tuple[Exchange, Gateway]) -> None:
    exchange, gateway = market
    exchange.control("POST", "/control/key", ANYWHERE)
    gateway.start()
    eventually(lambda: gateway.logged("key without IP restriction", "bind it"), "the warning")
    gateway.client()
    checked = gateway.run("check", f"-c={gateway.exe}.json")
    assert checked.returncode == 0 and "the API key is taken from every address" in checked.stdout


def test_r71_where_nobody_answers_trading_goes_on_and_the_log_says_so(tmp_path: Path) -> None:
    with trading(tmp_path) as (exchange, gateway):
        silent = f"http://127.0.0.1:{free_port()}"
        gateway.config["endpoints"] = {**addresses_of(exchange), "rest": silent}
        gateway.write_config()
        gateway.start()
        assert gateway.client().buy("10")["order"]["state"] == "FILLED"
        eventually(lambda: gateway.logged("key rights not read", "could not be read"), "given up")


def addresses_of(exchange: Exchange) -> Frame:
    """Where spot finds the exchange."""
    return {name: exchange.listening[name] for name in ("ws_api", "streams")}
