"""`spot` with `"margin": true`: real processes, the simulated exchange's own files as the oracle."""

from __future__ import annotations

import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import MachineLacks
from support.log import told
from support.margin import Wallet
from support.processes import Client, Exchange, Gateway, Refused, ended, eventually, trading

PAGE = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()
Desk = tuple[Exchange, Gateway, Wallet]
UNIT = Decimal("0.00000001")
# Interest is charged at whole multiples of an interval: of this one, of 31 years, in 2033.
NEVER_MS = 10**12


@contextmanager
def margin_desk(folder: Path, **keys: object) -> Iterator[Desk]:
    """A lively exchange, a margin gateway that has not been started, and the wallet's owner, with money."""
    options = ("--ticks-per-second=20", "--order-limit=100000", "--weight-limit=1000000")
    with trading(folder, *options, margin=True, **keys) as (exchange, gateway):
        listening = exchange.listening
        gateway.config["endpoints"] |= {
            "rest": listening["rest"],
            "margin_stream": f"ws://{listening['listening']}/margin-stream",
        }
        gateway.write_config()
        wallet = Wallet(folder, exchange)
        wallet.fund("USDT", "10000")
        # An hour may end amid any test: interest is charged where a test wants it, and nowhere else.
        exchange.control("POST", "/control/margin/interest", {"interval_ms": NEVER_MS})
        yield exchange, gateway, wallet


@pytest.fixture
def needs_openssl(machine_lacks: MachineLacks) -> None:
    """The owner signs by it."""
    if shutil.which("openssl") is None:
        machine_lacks("no openssl")


@pytest.fixture
def desk(tmp_path: Path, needs_openssl: None) -> Iterator[Desk]:
    """Orders that borrow nothing."""
    with margin_desk(tmp_path) as made:
        yield made


@pytest.fixture
def lender(tmp_path: Path, needs_openssl: None) -> Iterator[Desk]:
    """Orders that borrow what they lack and repay with what they receive."""
    with margin_desk(tmp_path, side_effect="AUTO_BORROW_REPAY") as made:
        yield made


def trade(client: Client, side: str, qty: str, symbol: str = "dogeusdt") -> Any:
    """An order at the market; how it ended."""
    order = client.order(symbol, side, type="MARKET", qty=qty)
    return client.until(lambda frame: ended(frame, order))["order"]


def in_state(client: Client, order: str, *states: str) -> Any:
    """The order, from its next event in one of these states."""

    def wanted(frame: dict[str, Any]) -> bool:
        of_it = frame.get("event") == "order" and frame["order"]["order_id"] == order
        return of_it and frame["order"]["state"] in states

    return client.until(wanted)["order"]


def best_bid(client: Client) -> Decimal:
    """Best bid of DOGEUSDT."""
    client.call("subscribe", streams=["dogeusdt@bbo"])
    frame = client.until(lambda frame: frame.get("stream") == "dogeusdt@bbo" and "data" in frame)
    client.call("unsubscribe", streams=["dogeusdt@bbo"])
    return Decimal(frame["data"]["bids"][0][0])


def on_tick(price: Decimal) -> str:
    """On DOGEUSDT's grid."""
    return str(price.quantize(Decimal("0.00001")))


def row(gateway: Gateway, asset: str, session: int) -> Decimal:
    """A session's row of an asset."""
    return rows(gateway, f"asset='{asset}' AND owner='{session}'")


def rows(gateway: Gateway, where: str) -> Decimal:
    """The sum of the rows of assets that fit."""
    found = gateway.sql(f"SELECT amount FROM _asset WHERE {where}")
    return sum((Decimal(amount) for (amount,) in found), Decimal(0))


def ties_out(gateway: Gateway, wallet: Wallet, *assets: str) -> None:
    """All rows of each asset make up what the wallet has, less what it owes, and nothing is unexplained."""
    for asset in assets:

        def same(asset: str = asset) -> bool:
            return rows(gateway, f"asset='{asset}'") == wallet.net(asset)

        # What is owed waits a minute for a row of the interest history before it is judged.
        eventually(same, f"{asset} to tie out", 120)
    eventually(lambda: rows(gateway, "owner='unattributed'") == 0, "everything to be explained")
    assert not gateway.logged("the exchange's balance differs from the books")


def nothing_lost(client: Client, gateway: Gateway, wallet: Wallet) -> None:
    """After whatever was refused: an order passes, and the books still have what the exchange has."""
    assert trade(client, "BUY", "100")["state"] == "FILLED"
    ties_out(gateway, wallet, "DOGE", "USDT")


def test_row_004_30_margin_chooses_the_account_the_orders_go_to(desk: Desk, tmp_path: Path) -> None:
    """One key, two gateways side by side: each trades, and keeps the books of, its own wallet."""
    exchange, gateway, wallet = desk
    (tmp_path / "plain").mkdir()
    plain = Gateway(tmp_path / "plain", exchange.listening, pem="../private_key.pem")
    gateway.start()
    try:
        plain.start()
        assert trade(gateway.client(1), "BUY", "100")["state"] == "FILLED"
        assert trade(plain.client(1), "BUY", "200")["state"] == "FILLED"
        eventually(lambda: gateway.position(1) == "99.9" and plain.position(1) == "199.8", "both rows")
    finally:
        if plain.process is not None:
            plain.process.kill()
    filled = [row for row in wallet.journal("orders") if row["status"] == "FILLED"]
    assert [Decimal(row["qty"]) for row in filled] == [100], "POST /sapi/v1/margin/order"
    everything = (tmp_path / "sim" / "orders.jsonl").read_text().splitlines()
    assert any('"account":"main"' in line and '"qty":"200"' in line for line in everything), "on spot"
    assert gateway.sql("SELECT DISTINCT market FROM position") == [("margin",)]
    assert plain.sql("SELECT DISTINCT market FROM position") == [("spot",)]
    ties_out(gateway, wallet, "DOGE", "USDT")


def test_row_004_30_the_books_of_spot_are_not_taken_for_margins(desk: Desk) -> None:
    """The same `db` for the other account is refused, with what to do."""
    _, gateway, _ = desk
    gateway.config["margin"] = False
    gateway.write_config()
    gateway.start()
    gateway.client(1).close()
    gateway.running.end()
    gateway.config["margin"] = True
    gateway.write_config()
    folder = gateway.folder / str(gateway.config["db"])
    for file in ("journal", "pos.db"):
        started, checked = gateway.run("-c=spot.json"), gateway.run("check", "-c=spot.json")
        assert (started.returncode, checked.returncode) == (78, 78)
        assert 'set another "db"' in started.stderr
        for said in (started.stderr, checked.stdout):
            assert f"{file} " in said and 'is of market "spot", not "margin"' in said, said
        # The rows are good, only not for this gateway.
        assert not told(started.stderr, "pos_db_row_refused") and "were changed" not in checked.stdout
        for journal in folder.glob("journal.db*"):
            journal.unlink()
    assert not (folder / "journal.db").exists()


def test_a_short_sale_borrows_and_its_row_is_what_the_account_owes(lender: Desk) -> None:
    """Sold without having it: the session's negative row is the loan, and buying back repays it."""
    _, gateway, wallet = lender
    gateway.start()
    client = gateway.client(1)
    assert trade(client, "SELL", "1000")["state"] == "FILLED"
    eventually(lambda: gateway.position(1) == "-1000", "the row")
    assert wallet.owed("DOGE") == 1000 == -row(gateway, "DOGE", 1)
    ties_out(gateway, wallet, "DOGE", "USDT")
    assert trade(client, "BUY", "1000")["state"] == "FILLED"
    # The fee was taken in DOGE: so much of the loan is left.
    eventually(lambda: gateway.position(1) == "-1", "the row")
    assert wallet.owed("DOGE") == 1
    ties_out(gateway, wallet, "DOGE", "USDT")


def share(charge: Decimal, owed: dict[int, Decimal]) -> dict[int, Decimal]:
    """A charge in whole units by what each owes, the rest of the division to the largest."""
    total = sum(owed.values())
    parts = {who: (charge * amount / total) // UNIT * UNIT for who, amount in owed.items()}
    parts[max(owed, key=lambda who: owed[who])] += charge - sum(parts.values())
    return parts


def of_the_page(words: str) -> str:
    """The statement of docs/ledger.md for a margin wallet that has these words."""
    blocks = re.findall(r"```sql margin/\w+\.db\n(.*?)```", PAGE, re.DOTALL)
    (found,) = (block for block in blocks if words in block)
    return str(found)


def owed_now(gateway: Gateway) -> dict[str, Decimal]:
    """What the account owes, as the page's statement finds it."""
    found = gateway.sql(of_the_page("max(seq)"), "journal.db")
    return {asset: Decimal(owed) for asset, owed, _ in found}


def test_interest_is_split_by_the_sessions_that_owe_and_equals_the_exchanges(lender: Desk) -> None:
    """Hours pass quickly: what each session owes grows by its share, to the last unit."""
    exchange, gateway, wallet = lender
    gateway.start()
    first, second = gateway.client(1), gateway.client(2)
    trade(first, "SELL", "1000")
    trade(second, "SELL", "501")
    eventually(lambda: gateway.position(1) == "-1000" and gateway.position(2) == "-501", "both rows")
    hour = {"asset": "DOGE", "rate": "0.00012345", "interval_ms": 1500}
    exchange.control("POST", "/control/margin/interest", hour)

    def charges() -> list[Decimal]:
        booked = [line for line in wallet.journal("liabilities") if line["kind"] == "INTEREST"]
        return [Decimal(line["interest"]) for line in booked if line["asset"] == "DOGE"]

    eventually(lambda: len(charges()) >= 3, "three hours")
    exchange.control("POST", "/control/margin/interest", {"interval_ms": NEVER_MS})
    owed = {1: Decimal(1000), 2: Decimal(501)}
    for charge in charges():
        for who, part in share(charge, owed).items():
            owed[who] += part
    eventually(lambda: {who: -row(gateway, "DOGE", who) for who in (1, 2)} == owed, f"rows of {owed}")
    assert sum(owed.values()) == wallet.owed("DOGE")
    ties_out(gateway, wallet, "DOGE", "USDT")
    told = gateway.sql(of_the_page("substr(amount, 2)"))
    assert {int(who): Decimal(amount) for who, asset, amount in told if asset == "DOGE"} == owed
    charged = gateway.sql(of_the_page("AS interest"), "journal.db")
    interest = {int(who): amount for who, asset, amount, _ in charged if asset == "DOGE"}
    assert interest == pytest.approx({1: float(owed[1] - 1000), 2: float(owed[2] - 501)})
    eventually(lambda: owed_now(gateway).get("DOGE") == wallet.owed("DOGE"), "what is owed now")
    # The journal knows each charge once, also after a restart that reads the history again.
    gateway.running.kill()
    gateway.start()
    gateway.client(1)
    assert {who: -row(gateway, "DOGE", who) for who in (1, 2)} == owed


def rejected(client: Client, **params: Any) -> str:
    """The reason of an order the exchange refuses."""
    order = client.order(**params)
    return str(in_state(client, order, "REJECTED")["reason"])


def test_insufficient_margin_is_a_rejection_with_the_exchanges_words(desk: Desk) -> None:
    """Without a side effect nothing is borrowed: what is not there cannot be sold."""
    _, gateway, wallet = desk
    gateway.start()
    client = gateway.client(1)
    assert "-2010" in rejected(client, side="SELL", type="MARKET", qty="1000")
    nothing_lost(client, gateway, wallet)


def test_a_loan_beyond_the_limit_is_a_rejection_with_the_exchanges_words(lender: Desk) -> None:
    """More than the equity bears."""
    _, gateway, wallet = lender
    gateway.start()
    client = gateway.client(1)
    price = on_tick(best_bid(client) * Decimal("0.95"))
    assert "-3006" in rejected(client, side="BUY", type="LIMIT", price=price, qty="900000")
    assert wallet.owed("USDT") == 0
    nothing_lost(client, gateway, wallet)


def test_an_order_of_a_margin_account_cannot_be_changed_but_cancelled(desk: Desk) -> None:
    """The venue has no amend for it: refused before anything is sent."""
    _, gateway, wallet = desk
    gateway.start()
    client = gateway.client(1)
    assert client.call("products", symbols=["dogeusdt"])[0]["amend_allowed"] is False
    price = on_tick(best_bid(client) * Decimal("0.9"))
    order = client.order(side="BUY", type="LIMIT", price=price, qty="100")
    in_state(client, order, "NEW")
    with pytest.raises(Refused, match=r"amend_not_allowed.*cancel and send anew"):
        client.call("amend", n=client.number, order_id=order, qty="50")
    client.number += 1
    client.call("cancel", n=client.number, order_id=order)
    client.number += 1
    in_state(client, order, "CANCELED")
    nothing_lost(client, gateway, wallet)


def well_into_a_minute() -> int:
    """Waits until a minute of the exchange has begun for both, and is not nearly over; its number."""
    eventually(lambda: 3 < time.time() % 60 < 45, "a minute that is young")
    return int(time.time() // 60)


def fills_the_minute(client: Client, price: str) -> dict[str, Any]:
    """Orders that borrow, until one is refused; the refusal."""
    for _ in range(241):
        try:
            order = client.order(side="BUY", type="LIMIT", price=price, qty="100")
            in_state(client, order, "NEW")
        except Refused as caught:
            return caught.error
    pytest.fail("no minute has room for so many")


def test_r13_the_121st_order_that_borrows_in_a_minute_stays_here(lender: Desk) -> None:
    """The weight of auto-borrow is counted before it is sent: the exchange never has to say stop."""
    exchange, gateway, wallet = lender
    gateway.start()
    client = gateway.client(1)
    price = on_tick(best_bid(client) * Decimal("0.5"))
    for _ in range(5):
        minute = well_into_a_minute()
        refusal = fills_the_minute(client, price)
        if time.time() // 60 == minute:
            break
        # The minute was over before it was full. More than two hundred orders may not rest.
        client.number += 1
        for order in client.call("cancel_all", n=client.number - 1)["order_ids"]:
            in_state(client, order, "CANCELED")
    else:
        pytest.fail("not one of five minutes was filled")
    assert refusal["name"] == "rate_limited"
    assert "until" in refusal["message"]
    made = [int(line["time"]) // 60_000 for line in wallet.journal("orders") if line["event"] == "NEW"]
    assert Counter(made)[minute] == 120
    assert exchange.control("GET", "/control/state")["refused"] == {"spot": 0, "margin": 0, "futures": 0}


@contextmanager
def struck(exchange: Exchange, **rule: object) -> Iterator[None]:
    """A fault that strikes the next order."""
    rules = [rule | {"method": "/sapi/v1/margin/order", "product": "margin", "times": 1}]
    exchange.control("POST", "/control/faults", rules)
    yield
    assert exchange.control("GET", "/control/state")["faults"][0]["struck"] == 1
    exchange.control("DELETE", "/control/faults")


FAULTS: dict[str, dict[str, object]] = {
    "1007_executed": {"fault": "reply.error", "code": -1007, "status": 504, "executed": True},
    "1007_lost": {"fault": "reply.error", "code": -1007, "status": 504, "executed": False},
    "reply_lost": {"fault": "reply.drop"},
    "cut": {"fault": "connection.abort", "stage": "after"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_r02_an_answer_that_does_not_come_is_never_a_rejection(desk: Desk, fault: str) -> None:
    """Whatever became of the order is found out; nobody is told a guess."""
    exchange, gateway, wallet = desk
    gateway.start()
    client = gateway.client(1)
    states = []
    with struck(exchange, **FAULTS[fault]):
        order = client.order(side="BUY", type="MARKET", qty="100")

        def over(frame: dict[str, Any]) -> bool:
            if frame.get("event") == "order" and frame["order"]["order_id"] == order:
                states.append(frame["order"]["state"])
            return ended(frame, order) or (bool(states) and states[-1] == "NOT_PLACED")

        client.until(over)
    bought = sum((Decimal(line["qty"]) for line in wallet.journal("trades")), Decimal(0))
    assert bought == (0 if fault == "1007_lost" else 100)
    assert (states[-1] == "FILLED") == bool(bought), states
    nothing_lost(client, gateway, wallet)


def test_r35_an_ended_listen_token_is_replaced_and_nothing_is_missed(desk: Desk) -> None:
    """The stream ends while a fill happens: the gateway says so, comes back, and has the fill."""
    exchange, gateway, wallet = desk
    gateway.start()
    client = gateway.client(1)
    bid = best_bid(client)
    order = client.order(side="BUY", type="LIMIT", price=on_tick(bid * Decimal("0.95")), qty="100")
    in_state(client, order, "NEW")
    exchange.control("POST", "/control/margin/listen_token", {"account": "main"})
    below = {"symbol": "DOGEUSDT", "price": on_tick(bid * Decimal("0.93"))}
    exchange.control("POST", "/control/price", below)
    lost = "the exchange ended the stream of private events"
    eventually(lambda: gateway.logged("state", lost, state="Down"), "the loss to be told")
    filled = client.until(lambda frame: ended(frame, order))["order"]
    assert filled["state"] == "FILLED"
    client.close()
    nothing_lost(gateway.client(1, take_over=True), gateway, wallet)


def test_r35_a_listen_token_is_renewed_while_trading_goes_on(desk: Desk) -> None:
    """Tokens of three seconds, and trading over several of them: not one pause.

    A machine that stands still lets a token run out: then with a longer life.
    """
    exchange, gateway, wallet = desk
    for life_s in (3, 12, 48):
        exchange.control("POST", "/control/margin/listen_token", {"life_ms": life_s * 1000})
        gateway.start()
        if trades_without_a_pause(gateway, 3.3 * life_s):
            break
        gateway.running.end()
    else:
        pytest.fail("a pause even with tokens of 48 seconds")
    ties_out(gateway, wallet, "DOGE", "USDT")


def trades_without_a_pause(gateway: Gateway, seconds: float) -> bool:
    """Did it trade so long, and was nobody told that the stream was down?"""
    client = gateway.client(1)
    at_the_start = gateway.logged("state", state="Down")
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            for side, qty in (("BUY", "100"), ("SELL", "99")):
                if trade(client, side, qty)["state"] != "FILLED":
                    return False
    except Refused as refused:
        assert refused.error["name"] in ("not_ready", "disconnected"), refused
        return False
    finally:
        client.close()
    told = [frame for frame in client.frames if frame.get("event") == "state"]
    return not told and gateway.logged("state", state="Down") == at_the_start


def test_r58_kill_9_in_mid_flight_keeps_the_books_exact(lender: Desk) -> None:
    """Killed over and over with orders under way: at most one order per command, every fill counted once."""
    _, gateway, wallet = lender
    draws = random.Random(7)
    gateway.start()
    for _ in range(4):
        client = gateway.client(1, take_over=True)
        for _ in range(draws.randint(2, 8)):
            side = draws.choice(("BUY", "SELL", "SELL"))
            try:
                client.order(side=side, type="MARKET", qty=str(draws.randint(50, 200)))
            except (Refused, OSError):
                break
        time.sleep(draws.random() / 20)
        gateway.running.kill()
        client.close()
        gateway.start()
    gateway.client(1, take_over=True)
    placed = Counter(line["client_order_id"] for line in wallet.journal("orders") if line["event"] == "NEW")
    assert set(placed.values()) <= {1}, "an order was sent twice"

    def net() -> Decimal:
        # Read anew each time: the exchange may still come to the last order of a life that was killed.
        held = Decimal(0)
        for line in wallet.journal("trades"):
            held += Decimal(line["qty"]) * (1 if line["side"] == "BUY" else -1)
            held -= Decimal(line["commission"]) if line["commission_asset"] == "DOGE" else 0
        return held

    eventually(lambda: Decimal(gateway.position(1) or 0) == net(), "the row to show what was traded")
    ties_out(gateway, wallet, "DOGE", "USDT")


def test_a_margin_call_is_told_as_it_happens(lender: Desk) -> None:
    """Sold short, and the price rises: the log says how near the wallet is to its end, and what to do."""
    exchange, gateway, wallet = lender
    gateway.start()
    client = gateway.client(1)
    bid = best_bid(client)
    for _ in range(5):
        assert trade(client, "SELL", "20000")["state"] == "FILLED"
    exchange.control("POST", "/control/margin/interest", {"interval_ms": 300})
    higher = {"symbol": "DOGEUSDT", "price": on_tick(bid * Decimal("1.22"))}
    exchange.control("POST", "/control/price", higher)
    eventually(lambda: gateway.logged("margin level", "MARGIN_CALL"), "the margin call")
    exchange.control("POST", "/control/margin/interest", {"interval_ms": NEVER_MS})
    nothing_lost(client, gateway, wallet)


def test_check_looks_at_the_margin_account(desk: Desk) -> None:
    """`spot check` names each thing looked at."""
    _, gateway, _ = desk
    checked = gateway.run("check", "-c=spot.json")
    assert checked.returncode == 0, checked.stdout
    for words in ("ok   exchange: reached", "ok   logon", "ok   permissions: may trade, 1 assets"):
        assert words in checked.stdout, checked.stdout


def test_verify_compares_the_margin_wallet_with_the_exchange(lender: Desk) -> None:
    """What is borrowed counts against what is there; without money moving, both say the same."""
    _, gateway, wallet = lender
    gateway.start()
    assert trade(gateway.client(1), "SELL", "1000")["state"] == "FILLED"
    ties_out(gateway, wallet, "DOGE", "USDT")
    gateway.running.end()
    verified = gateway.run("verify", "-c=spot.json", "--online")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "ok   exchange: 2 assets and 0 open orders" in verified.stdout


def test_margin_needs_the_exchanges_rest_interface(desk: Desk) -> None:
    """Without its address there is nowhere to send orders: said at once."""
    _, gateway, _ = desk
    del gateway.config["endpoints"]["rest"]
    gateway.write_config()
    ended_ = gateway.run("-c=spot.json")
    assert ended_.returncode == 78
    assert "endpoints.rest" in ended_.stderr


def test_a_lost_journal_is_rebuilt_for_the_margin_wallet_too(lender: Desk) -> None:
    """Positions come back from the wallet's orders and trades; loans and all, the rows are the account's."""
    _, gateway, wallet = lender
    gateway.start()
    client = gateway.client(1)
    trade(client, "SELL", "1000")
    trade(client, "BUY", "300")
    eventually(lambda: gateway.position(1) == "-700.3", "the row")
    client.close()
    gateway.running.end()
    for file in (gateway.folder / str(gateway.config["db"])).glob("journal.db*"):
        file.unlink()
    gateway.start()
    # Until the past is read, all may have to log in anew, for ids above those that were found.
    gateway.await_logged("position found again at the exchange")
    client = gateway.client(1)
    assert trade(client, "SELL", "100")["state"] == "FILLED"
    eventually(lambda: gateway.position(1) == "-800.3", "the row, from before and after")
    ties_out(gateway, wallet, "DOGE", "USDT")
