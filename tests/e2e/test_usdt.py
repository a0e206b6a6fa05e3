"""The `usdt` gateway at the simulated exchange: real processes, the exchange's own files as the oracle."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import MachineLacks
from support.futures import Account
from support.processes import (
    PATIENCE,
    Client,
    Exchange,
    Gateway,
    Refused,
    ended,
    eventually,
    program,
    trading,
)
from support.strategies import Strategy
from websockets.exceptions import ConnectionClosed

HERE = Path(__file__).parent
Desk = tuple[Exchange, Gateway, Account]


@pytest.fixture
def desk(tmp_path: Path, machine_lacks: MachineLacks) -> Iterator[Desk]:
    """A lively exchange, a gateway that has not been started, and the account's owner."""
    if shutil.which("openssl") is None:
        machine_lacks("no openssl")
    options = ("--ticks-per-second=20", "--order-limit=100000", "--weight-limit=1000000")
    with trading(tmp_path, *options, exe="usdt") as (exchange, gateway):
        yield exchange, gateway, Account(tmp_path, exchange)


def order_event(client: Client, order: str, *states: str) -> Any:
    """The order, from its next event in one of these states."""

    def wanted(frame: dict[str, Any]) -> bool:
        of_it = frame.get("event") == "order" and frame["order"]["order_id"] == order
        return of_it and frame["order"]["state"] in states

    return client.until(wanted)["order"]


def trade(client: Client, side: str, qty: str, symbol: str = "dogeusdt", **more: object) -> Any:
    """An order at the market; how it ended."""
    order = client.order(symbol, side, type="MARKET", qty=qty, **more)
    return client.until(lambda frame: ended(frame, order))["order"]


def best(client: Client, symbol: str = "dogeusdt") -> tuple[Decimal, Decimal]:
    """Best bid and best offer."""
    stream = f"{symbol}@bbo"
    client.call("subscribe", streams=[stream])
    frame = client.until(lambda frame: frame.get("stream") == stream and "data" in frame)
    client.call("unsubscribe", streams=[stream])
    return Decimal(frame["data"]["bids"][0][0]), Decimal(frame["data"]["asks"][0][0])


def on_tick(price: Decimal) -> str:
    """On DOGEUSDT's grid."""
    return str(price.quantize(Decimal("0.00001")))


def refused(client: Client, symbol: str = "dogeusdt", side: str = "BUY", **params: object) -> str:
    """The reason of a command the gateway itself refuses."""
    with pytest.raises(Refused) as caught:
        client.order(symbol, side, **params)
    return str(caught.value)


def rejected(client: Client, symbol: str = "dogeusdt", side: str = "BUY", **params: object) -> str:
    """The reason of an order the exchange refuses."""
    order = client.order(symbol, side, **params)
    return str(order_event(client, order, "REJECTED")["reason"])


def nothing_lost(client: Client, account: Account) -> None:
    """After whatever was refused: an order passes, and the books still have what the exchange has."""
    before = Decimal(client.call("positions", symbols=["dogeusdt"])["positions"][0]["net"])
    end = trade(client, "BUY", "100")
    assert end["state"] == "FILLED", str(end)
    after = Decimal(client.call("positions", symbols=["dogeusdt"])["positions"][0]["net"])
    assert after == before + 100 == account.position("dogeusdt")


def books(gateway: Gateway, asset: str) -> Decimal:
    """The sum of all rows of an asset."""
    rows = gateway.sql(f"SELECT amount FROM _asset WHERE asset='{asset}'")
    return sum((Decimal(row[0]) for row in rows), Decimal(0))


def all_explained(gateway: Gateway) -> None:
    """Nothing is left that nobody can attribute."""
    unexplained = "SELECT * FROM _asset WHERE owner='unattributed' AND amount != '0'"
    eventually(lambda: not gateway.sql(unexplained), "everything to be explained")


def test_row_004_04_one_order_one_fill_one_row_one_callback(desk: Desk, tmp_path: Path) -> None:
    """A strategy in Python buys once: the exchange's file, pos.db and the callback tell of the same."""
    _, gateway, account = desk
    gateway.start()
    heard = tmp_path / "heard.jsonl"
    environment = {"TRADINGSYS_TOKEN_FILE": str(tmp_path / "usdt_token"), "XDG_RUNTIME_DIR": str(tmp_path)}
    once = Strategy(
        tmp_path,
        HERE / "strategies" / "once.py",
        gateway.url,
        "btcusdt",
        "0.002",
        str(heard),
        environment=environment,
    )
    try:
        assert once.popen.wait(PATIENCE) == 0, once.words()
    finally:
        once.kill()
    lines = [json.loads(line) for line in heard.read_text().splitlines()]
    assert [line[1].split(".")[-1] for line in lines].count("FILLED") == 1
    assert Decimal(lines[-1][2]) == Decimal("0.002")
    trades = account.journal("trades")
    assert sum(Decimal(row["qty"]) for row in trades if row["account"] == "main") == Decimal("0.002")
    eventually(lambda: gateway.position(1, "btcusdt") == "0.002", "the row")
    assert account.position("btcusdt") == Decimal("0.002")


def test_money_and_positions_are_the_exchanges_to_the_last_unit(desk: Desk) -> None:
    """Two sessions the opposite way, in and out: sums of the books are wallet and position of the account."""
    _, gateway, account = desk
    gateway.start()
    long, short = gateway.client(1), gateway.client(2)
    trade(long, "BUY", "500")
    trade(short, "SELL", "800")
    trade(long, "SELL", "200")
    eventually(lambda: gateway.position(1) == "300" and gateway.position(2) == "-800", "both rows")
    assert account.position("dogeusdt") == -500
    eventually(lambda: books(gateway, "USDT") == account.wallet(), "the wallet to tie out")
    assert books(gateway, "DOGEUSDT") == -500
    # A session may close what it owns though the account's net is the other way.
    assert trade(long, "SELL", "300", reduce_only=True)["state"] == "FILLED"
    eventually(lambda: gateway.position(1) is None or gateway.position(1) == "0", "the row to be flat")
    all_explained(gateway)


def test_orders_rest_are_changed_and_cancelled_under_one_name(desk: Desk) -> None:
    """Post-only, change of price and quantity, cancel: the exchange knows one client id throughout."""
    _, gateway, account = desk
    gateway.start()
    client = gateway.client(1)
    bid, ask = best(client)
    order = client.order(side="BUY", type="LIMIT_MAKER", price=on_tick(bid * Decimal("0.9")), qty="100")
    order_event(client, order, "NEW")
    client.number += 1
    price = on_tick(bid * Decimal("0.8"))
    client.call("amend", n=client.number - 1, order_id=order, price=price, qty="150")

    def shown() -> bool:
        found = account.ask("GET", "/fapi/v1/openOrders", symbol="DOGEUSDT")
        rows = [(row["clientOrderId"], Decimal(row["price"]), Decimal(row["origQty"])) for row in found]
        return rows == [(order, Decimal(price), Decimal(150))]

    eventually(shown, "the change at the exchange")
    client.number += 1
    client.call("cancel", n=client.number - 1, order_id=order)
    order_event(client, order, "CANCELED")
    words = rejected(client, type="LIMIT_MAKER", price=on_tick(ask * Decimal("1.02")), qty="100")
    assert "-5022" in words
    good_till = (int(time.time()) + 1_000) * 1_000_000_000
    order = client.order(
        side="BUY",
        type="LIMIT",
        tif="GTD",
        good_till=good_till,
        price=on_tick(bid * Decimal("0.9")),
        qty="100",
    )
    order_event(client, order, "NEW")


def test_row_004_23_hedge_mode_is_refused_with_the_way_out_and_the_flag_changes_it(desk: Desk) -> None:
    """Exit 78 and what to do; with `set_one_way_mode` the gateway does it and trades."""
    _, gateway, account = desk
    account.ask("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    ended_ = gateway.run("-c=usdt.json")
    assert ended_.returncode == 78, ended_
    for words in ("hedge mode", "one-way", "set_one_way_mode"):
        assert words in ended_.stderr
    checked = gateway.run("check", "-c=usdt.json")
    assert checked.returncode == 78
    assert "hedge mode" in checked.stdout
    gateway.config["set_one_way_mode"] = True
    gateway.write_config()

    def hedged() -> bool:
        return bool(account.ask("GET", "/fapi/v1/positionSide/dual")["dualSidePosition"])

    checked = gateway.run("check", "-c=usdt.json")
    assert checked.returncode == 0, checked.stdout
    (warning,) = (line for line in checked.stdout.splitlines() if line.startswith("warn "))
    assert "the start changes its position mode to one-way mode" in warning
    assert hedged(), "a check only reads"
    gateway.start()
    nothing_lost(gateway.client(1), account)
    assert not hedged()
    (told,) = gateway.await_logged("account changed")
    assert "was hedge mode and is one-way mode now" in told.fields["found"]


def test_r49_a_mode_that_somebody_changes_while_it_runs_ends_it_with_the_way_out(desk: Desk) -> None:
    """The exchange refuses the next order; the gateway looks, says why, ends with 78, and nothing is lost."""
    exchange, gateway, account = desk
    gateway.start()
    client = gateway.client(1)
    trade(client, "BUY", "100")
    trade(client, "SELL", "100")
    exchange.control("POST", "/control/futures/mode", {"account": "main", "hedge": True})
    # It may end before it has told the strategy, who is told at the next login.
    with suppress(ConnectionClosed):
        assert "-4061" in rejected(client, type="MARKET", qty="100")
    assert gateway.running.popen.wait(PATIENCE) == 78
    for words in ("hedge mode", "one-way", "set_one_way_mode"):
        assert words in gateway.running.log()
    exchange.control("POST", "/control/futures/mode", {"account": "main", "hedge": False})
    gateway.start()
    nothing_lost(gateway.client(1), account)


def test_a_symbol_on_isolated_margin_takes_no_orders(desk: Desk) -> None:
    """Its orders are refused with the way out; other symbols trade."""
    _, gateway, account = desk
    account.ask("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    gateway.start()
    client = gateway.client(1)
    words = rejected(client, "btcusdt", type="MARKET", qty="0.002")
    assert "isolated margin" in words
    assert not account.journal("orders")
    nothing_lost(client, account)


def test_unsupported_types_and_times_in_force_are_refused_before_they_are_sent(desk: Desk) -> None:
    """What perpetuals do not take is named with what they take."""
    _, gateway, account = desk
    gateway.start()
    client = gateway.client(1)
    assert "quote amount" in refused(client, type="MARKET", quote_amount="10")
    near = (int(time.time()) + 100) * 1_000_000_000
    words = refused(client, type="LIMIT", tif="GTD", good_till=near, price="0.1", qty="100")
    assert "good_till" in words
    words = refused(client, type="TRAILING_STOP_MARKET", qty="100", callback_rate="99")
    assert "callback rate" in words
    assert not account.journal("orders")
    nothing_lost(client, account)


def test_insufficient_margin_is_a_rejection_with_the_exchanges_words(desk: Desk) -> None:
    """More than the wallet bears."""
    _, gateway, account = desk
    gateway.start()
    client = gateway.client(1)
    bid, _ = best(client, "btcusdt")
    price = str((bid * Decimal("0.99")).quantize(Decimal("0.1")))
    words = rejected(client, "btcusdt", type="LIMIT", price=price, qty="900")
    assert "-2019" in words or "-2027" in words, words
    nothing_lost(client, account)


def test_an_amend_of_a_filled_order_changes_nothing(desk: Desk) -> None:
    """The session has no such open order any more."""
    _, gateway, account = desk
    gateway.start()
    client = gateway.client(1)
    order = client.order(side="BUY", type="MARKET", qty="100")
    client.until(lambda frame: ended(frame, order))
    with pytest.raises(Refused, match="no open order"):
        client.number += 1
        client.call("amend", n=client.number - 1, order_id=order, qty="50")
    nothing_lost(client, account)


def test_a_symbol_on_its_way_out_takes_no_new_orders(desk: Desk) -> None:
    """PRE_SETTLE: the exchange refuses first, the rules are reread, then the gateway refuses by itself."""
    exchange, gateway, account = desk
    gateway.start()
    client = gateway.client(1)
    exchange.control("POST", "/control/futures/status", {"symbol": "ETHUSDT", "status": "PRE_SETTLE"})
    assert "-4140" in rejected(client, "ethusdt", type="MARKET", qty="0.1")

    eventually(
        lambda: client.call("products", symbols=["ethusdt"])[0]["status"] == "CANCEL_ONLY",
        "the rules to be read again",
    )
    assert "not open for new orders" in refused(client, "ethusdt", type="MARKET", qty="0.1")
    nothing_lost(client, account)


def test_row_004_61_an_expired_listen_key_is_replaced_and_nothing_is_missed(desk: Desk) -> None:
    """The key dies while a fill happens: the gateway says so, comes back, and has the fill."""
    exchange, gateway, account = desk
    gateway.start()
    client = gateway.client(1)
    bid, _ = best(client)
    price = on_tick(bid * Decimal("0.98"))
    order = client.order(side="BUY", type="LIMIT", price=price, qty="100")
    order_event(client, order, "NEW")
    exchange.control("POST", "/control/futures/listen_key", {"account": "main"})
    # Within the share by which a market order may be off the mark price, which follows by the second.
    below = {"symbol": "DOGEUSDT", "price": on_tick(bid * Decimal("0.97"))}
    exchange.control("POST", "/control/futures/price", below)
    eventually(lambda: gateway.logged("state", "listen key", state="Down"), "the loss to be told")
    filled = client.until(lambda frame: ended(frame, order))["order"]
    assert filled["state"] == "FILLED"
    client.close()
    nothing_lost(gateway.client(1, take_over=True), account)


def test_r58_kill_9_in_mid_flight_keeps_the_books_exact(desk: Desk) -> None:
    """Killed over and over with orders under way: at most one order per command, every fill counted once."""
    _, gateway, account = desk
    draws = random.Random(7)
    sent = []
    gateway.start()
    for _ in range(4):
        client = gateway.client(1, take_over=True)
        for _ in range(draws.randint(2, 8)):
            side = draws.choice(("BUY", "SELL"))
            try:
                sent.append(client.order(side=side, type="MARKET", qty=str(draws.randint(50, 200))))
            except (Refused, OSError):
                break
        time.sleep(draws.random() / 20)
        gateway.running.kill()
        client.close()
        gateway.start()
    client = gateway.client(1, take_over=True)

    def net() -> Decimal:
        # Read anew each time: the exchange may still come to the last order of a life that was killed.
        mine = (row for row in account.journal("trades") if row["account"] == "main")
        return sum((Decimal(row["qty"]) * (1 if row["side"] == "BUY" else -1) for row in mine), Decimal(0))

    eventually(lambda: Decimal(gateway.position(1) or 0) == net(), "the row to show what was traded")
    assert net() == account.position("dogeusdt")
    eventually(lambda: books(gateway, "USDT") == account.wallet(), "the wallet to tie out")
    placed = Counter(row["client_order_id"] for row in account.journal("orders") if row["event"] == "NEW")
    assert set(placed.values()) <= {1}, "an order was sent twice"
    all_explained(gateway)


def test_row_004_32_a_margin_key_is_unknown_to_usdt(desk: Desk) -> None:
    """It is named, with the gateway that has it."""
    _, gateway, _ = desk
    gateway.config["margin"] = False
    gateway.write_config()
    ended_ = gateway.run("-c=usdt.json")
    assert ended_.returncode == 78
    assert '"margin" is of `spot`, and this is `usdt`: remove it' in ended_.stderr


def test_check_and_verify_look_at_everything(desk: Desk) -> None:
    """`check` names each thing looked at; `verify` finds the books as folded, and as the exchange says."""
    _, gateway, account = desk
    checked = gateway.run("check", "-c=usdt.json")
    assert checked.returncode == 0, checked.stdout
    for words in ("ok   exchange: reached", "ok   clock", "ok   logon", "ok   permissions"):
        assert words in checked.stdout
    gateway.start()
    client = gateway.client(1)
    nothing_lost(client, account)
    client.close()
    gateway.running.end()
    verified = gateway.run("verify", "-c=usdt.json", "--online")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "ok   books" in verified.stdout and "ok   exchange: 2 assets" in verified.stdout


def asked(gateway: Gateway, *command: str) -> tuple[int, Any]:
    """The operator's command: its exit code, and what it tells a machine."""
    done = subprocess.run(
        [sys.executable, "-m", "pyalgo", *command, "--json"], cwd=gateway.folder, capture_output=True,
        text=True, env={**os.environ, "TRADINGSYS_TOKEN_FILE": "usdt_token"}, timeout=PATIENCE,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


def test_the_operator_sees_contracts_and_what_they_add_up_to(desk: Desk) -> None:
    _, gateway, account = desk
    gateway.start()
    trade(gateway.client(1), "BUY", "500")
    trade(gateway.client(2), "SELL", "800")

    def assets() -> dict[str, Any]:
        told = asked(gateway, "positions", "--addr", gateway.url)[1]
        assert {row["session_id"]: row["net"] for row in told["positions"]} == {1: "500", 2: "-800"}
        return {row["asset"]: row for row in told["assets"]}

    def tied_out() -> bool:
        found = assets()
        return all(found[name]["difference"] == "0" for name in ("DOGEUSDT", "USDT"))

    eventually(tied_out, "the books to tie out")
    contract = assets()["DOGEUSDT"]
    assert contract["sessions"] == [{"session_id": 1, "amount": "500"}, {"session_id": 2, "amount": "-800"}]
    assert (contract["books"], contract["exchange"]) == ("-300", "-300")
    assert account.position("dogeusdt") == -300

    def is_well() -> bool:
        # A machine that stands still has silences, which are problems for a moment.
        status = asked(gateway, "status", "--addr", gateway.url)[1]
        return (status["market"], status["problems"]) == ("usdt", [])

    eventually(is_well, "no problem to be left")


def test_the_doctor_names_the_position_mode(desk: Desk) -> None:
    _, gateway, account = desk
    account.ask("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    usdt = str(program("usdt"))
    code, told = asked(gateway, "doctor", "-c", "usdt.json", "--gateway", usdt)
    assert code == 78 and any("hedge mode" in f["words"] for f in told["findings"] if f["status"] == "fail")
    account.ask("POST", "/fapi/v1/positionSide/dual", dualSidePosition="false")
    gateway.start()
    code, told = asked(gateway, "doctor", "-c", "usdt.json", "--gateway", usdt, "--addr", gateway.url)
    assert code == 0 and told["well"], told


def test_a_stop_is_followed_to_the_order_it_triggers(desk: Desk) -> None:
    """One order for the strategy, from the conditional service to the fill of what it triggered."""
    exchange, gateway, account = desk
    gateway.start()
    client = gateway.client(1)
    trade(client, "BUY", "200")
    bid, _ = best(client)
    stop = on_tick(bid * Decimal("0.98"))
    order = client.order(side="SELL", type="STOP_LOSS", stop_price=stop, qty="200", reduce_only=True)
    waiting = order_event(client, order, "NEW")
    assert waiting["conditional_id"]
    assert "venue_order_id" not in waiting
    exchange.control(
        "POST", "/control/futures/price", {"symbol": "DOGEUSDT", "price": on_tick(bid * Decimal("0.96"))}
    )
    # A stop watches the last trade: somebody has to trade down there.
    exchange.control("POST", "/control/futures/trade", {"symbol": "DOGEUSDT", "side": "SELL", "qty": "100"})
    filled = client.until(lambda frame: ended(frame, order))["order"]
    assert (filled["state"], filled["filled"]) == ("FILLED", "200")
    assert filled["venue_order_id"]
    eventually(lambda: account.position("dogeusdt") == 0, "the account to be flat")
    eventually(lambda: books(gateway, "USDT") == account.wallet(), "the wallet to tie out")
    nothing_lost(client, account)


def test_a_conditional_order_is_cancelled_where_it_waits(desk: Desk) -> None:
    """A trailing stop and a take-profit, cancelled before they were triggered."""
    _, gateway, account = desk
    gateway.start()
    client = gateway.client(1)
    trade(client, "BUY", "200")
    _, ask = best(client)
    wishes: list[dict[str, object]] = [
        {"type": "TRAILING_STOP_MARKET", "callback_rate": "5", "qty": "200"},
        {
            "type": "TAKE_PROFIT",
            "stop_price": on_tick(ask * Decimal("1.2")),
            "qty": "200",
            "working_type": "MARK",
        },
    ]
    for wish in wishes:
        order = client.order(side="SELL", **wish)
        order_event(client, order, "NEW")
        client.number += 1
        client.call("cancel", n=client.number - 1, order_id=order)
        order_event(client, order, "CANCELED")
    assert account.ask("GET", "/fapi/v1/openAlgoOrders") == []
    nothing_lost(client, account)


def test_a_stop_on_the_wrong_side_of_the_market_is_rejected(desk: Desk) -> None:
    """It would trigger at once."""
    _, gateway, account = desk
    gateway.start()
    client = gateway.client(1)
    bid, _ = best(client)
    stop = on_tick(bid * Decimal("1.05"))
    words = rejected(client, side="SELL", type="STOP_LOSS", stop_price=stop, qty="100")
    assert "-2021" in words
    nothing_lost(client, account)


def test_the_201st_conditional_order_is_rejected(desk: Desk) -> None:
    """The exchange takes 200; the others live on and can be cancelled."""
    _, gateway, account = desk
    gateway.start()
    client = gateway.client(1)
    bid, _ = best(client)
    wish = {"type": "STOP_LOSS", "stop_price": on_tick(bid * Decimal("0.5")), "qty": "100"}
    resting = [client.order(side="SELL", **wish) for _ in range(200)]
    for order in resting:
        order_event(client, order, "NEW")
    assert "-4045" in rejected(client, side="SELL", **wish)
    client.number += 1
    client.call("cancel_all", n=client.number - 1, symbol="dogeusdt")
    eventually(lambda: account.ask("GET", "/fapi/v1/openAlgoOrders") == [], "all to be cancelled")
    nothing_lost(client, account)
