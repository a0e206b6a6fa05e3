"""`check`, `verify` and `keygen`."""

from __future__ import annotations

import re
import sqlite3
import stat
from collections.abc import Callable
from typing import NoReturn

import pytest
from support.certificates import make_certificate
from support.processes import Exchange, Gateway, Refused, eventually, free_port, keygen

THINGS = ["configuration", "limits", "mode", "database", "key", "exchange", "clock", "logon", "permissions"]


def lines(text: str) -> dict[str, str]:
    """The verdict of each thing looked at."""
    told = [line.split(":", 1)[0].split() for line in text.splitlines()]
    return {thing: verdict for verdict, thing in told}


def test_check_has_a_line_for_each_thing(gateway: Gateway) -> None:
    done = gateway.run("check", "-c=spot.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines(done.stdout) == dict.fromkeys(THINGS, "ok")
    assert "ok   limits: of the configuration: none: " in done.stdout, "the operator may have set others"
    assert not (gateway.folder / "db").exists(), "it changes nothing"


def test_check_looks_at_what_the_door_is_made_of(
    gateway: Gateway, machine_lacks: Callable[[str], NoReturn]
) -> None:
    """The certificate, and the tokens that are kept; it makes none."""
    make_certificate(gateway.folder, machine_lacks)
    gateway.config |= {
        "local": "wss://localhost:0", "tls": {"cert": "tls.pem", "key": "tls.key"},
        "session_tokens": {"7": "own", "8": "other"},
    }  # fmt: skip
    gateway.write_config()
    (gateway.folder / "own").touch(0o600)
    (gateway.folder / "own").write_text("a" * 64)
    done = gateway.run("check", "-c=spot.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   tls: " in done.stdout
    assert "ok   tokens: 1 are kept; the next start makes 2 more\n" in done.stdout
    assert not (gateway.folder / "other").exists() and not (gateway.folder / "token").exists()
    (gateway.folder / "own").chmod(0o644)
    (gateway.folder / "tls.key").write_text("no key")
    done = gateway.run("check", "-c=spot.json")
    assert done.returncode == 78, "of the first that fails"
    assert lines(done.stdout)["tls"] == "fail" and '"tls.key"' in done.stdout
    assert lines(done.stdout)["tokens"] == "fail" and "the token in" in done.stdout
    assert "a" * 64 not in done.stdout + done.stderr


def test_check_warns_of_limits_the_exchange_has_no_name_for(gateway: Gateway) -> None:
    """They bound nothing, though nothing else is wrong with them."""
    gateway.config["limits"] = {
        "session": {"symbols": ["dogeusdt", "dogeusd"], "order_notional": {"USDT": "200", "USD": "200"}}
    }
    gateway.write_config()
    done = gateway.run("check", "-c=spot.json")
    assert done.returncode == 0, done.stdout + done.stderr
    (warning,) = (line for line in done.stdout.splitlines() if line.startswith("warn "))
    told = "warn limits: the exchange does not have dogeusd, USD; what is named so bounds nothing"
    assert warning.casefold() == told.casefold()


def test_check_tells_a_refused_key(gateway: Gateway) -> None:
    (gateway.folder / "private_key.pem").unlink()
    keygen(gateway.folder)
    done = gateway.run("check", "-c=spot.json")
    assert done.returncode == 77, done.stdout
    assert lines(done.stdout)["logon"] == "fail" and lines(done.stdout)["key"] == "ok"
    assert "IP restriction" in done.stdout


def test_check_tells_an_exchange_out_of_reach(gateway: Gateway) -> None:
    port = free_port()
    gateway.config["endpoints"] = dict.fromkeys(("ws_api", "streams"), f"ws://127.0.0.1:{port}")
    gateway.write_config()
    done = gateway.run("check", "-c=spot.json")
    assert done.returncode == 69, done.stdout
    assert "fail exchange" in done.stdout and "connection refused" in done.stdout


def test_check_tells_a_clock_that_is_off(gateway: Gateway, exchange: Exchange) -> None:
    exchange.control("POST", "/control/faults", [{"fault": "clock.skew", "ms": 5000}])
    done = gateway.run("check", "-c=spot.json")
    assert done.returncode == 78, done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("fail clock"))
    told = re.search(r": (\d+) ms off, round trip ([\d.]+)ms; set it by NTP", line)
    # What the way there and the way back differ by looks like an offset, and so do the parts of a millisecond
    # that are cut off, by the exchange of its time and here of the difference.
    assert told and abs(int(told[1]) - 5000) <= float(told[2]) + 2, line


def test_with_a_clock_off_orders_are_refused_and_cost_nothing(gateway: Gateway, exchange: Exchange) -> None:
    exchange.control("POST", "/control/faults", [{"fault": "clock.skew", "ms": 5000}])
    gateway.start()
    client = gateway.client()

    def refused() -> str | None:
        """What it is refused for once the symbol's past is read."""
        with pytest.raises(Refused) as caught:
            client.place("dogeusdt", "BUY", type="MARKET", qty="10")
        name = str(caught.value.error["name"])
        return name if name != "not_ready" else None

    assert eventually(refused, "the symbol's past") == "clock_off"


def test_check_beside_a_running_gateway_leaves_its_database_alone(gateway: Gateway) -> None:
    gateway.start()
    done = gateway.run("check", "-c=spot.json")
    assert done.returncode == 0, done.stdout
    assert f"(pid {gateway.running.popen.pid}), not looked at" in done.stdout


def test_check_and_verify_tell_a_damaged_journal(gateway: Gateway) -> None:
    gateway.start()
    gateway.client().buy("10")
    gateway.running.end()
    assert gateway.run("verify", "-c=spot.json").returncode == 0
    gateway.sql(
        "UPDATE record SET body = replace(body, '\"10\"', '\"11\"') WHERE kind = 'fill'", "journal.db"
    )
    for command in ("check", "verify"):
        done = gateway.run(command, "-c=spot.json")
        assert done.returncode == 78
        assert "is damaged at record" in done.stdout + done.stderr and "checksum" in done.stdout + done.stderr
    done = gateway.run("-c=spot.json")
    assert done.returncode == 78 and "Restore it from a backup" in done.stderr


def test_verify_folds_the_journal_and_compares(gateway: Gateway) -> None:
    gateway.start()
    gateway.client().buy("10")
    gateway.running.end()
    done = gateway.run("verify", "-c=spot.json")
    assert done.returncode == 0, done.stdout
    assert "every checksum holds" in done.stdout and "1 positions, as folded" in done.stdout
    gateway.sql("UPDATE position SET qty = '5'")
    gateway.sql("INSERT INTO position(session_id, symbol, qty) VALUES(8, 'ethusd', 1)")
    done = gateway.run("verify", "-c=spot.json")
    assert done.returncode == 0 and "5 found; taken at the next start\n" in done.stdout
    assert "1 found; taken at the next start if the exchange has it" in done.stdout
    gateway.sql("UPDATE _asset SET amount = '5'")
    done = gateway.run("verify", "-c=spot.json")
    assert done.returncode == 78 and "fail books" in done.stdout


def test_verify_compares_also_when_the_last_records_moved_no_position(gateway: Gateway) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    eventually(lambda: gateway.position() is not None, "pos.db shows it")
    client.order(type="LIMIT", tif="GTC", price="0.15", qty="10")
    gateway.running.end()
    done = gateway.run("verify", "-c=spot.json")
    assert done.returncode == 0 and "1 positions, as folded" in done.stdout, done.stdout


def test_check_and_verify_change_nothing(gateway: Gateway) -> None:
    gateway.start()
    gateway.client().buy("10")
    gateway.running.end()
    gateway.sql("UPDATE position SET qty = '5'")
    folder = gateway.folder / "db"

    def files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.glob("*.db*")}

    edited = files()
    assert {"pos.db", "journal.db"} <= set(edited)
    for command in ("check", "verify"):
        assert gateway.run(command, "-c=spot.json").returncode == 0
        assert files() == edited, f"{command}: no backup is due before the edit is taken"
    # Written by a version before this one, and with a mode of the user's own.
    gateway.sql("PRAGMA user_version = 2", "journal.db")
    gateway.sql("DROP VIEW fill", "journal.db")
    gateway.sql("PRAGMA journal_mode = DELETE", "journal.db")
    older = files()
    for command in ("check", "verify"):
        done = gateway.run(command, "-c=spot.json")
        assert done.returncode == 0, done.stdout + done.stderr
        (warning,) = (line for line in done.stdout.splitlines() if line.startswith("warn "))
        assert "the next start keeps a copy and migrates it" in warning
        assert files() == older, command
    (folder / "pos.db").write_bytes(b"this is no database, but longer than a hundred bytes: " * 4)
    damaged = files()
    for command in ("check", "verify"):
        done = gateway.run(command, "-c=spot.json")
        assert done.returncode == 78 and "pos.db is damaged" in done.stdout, done.stdout
        assert "makes a new one from journal.db" in done.stdout
        assert "was given" not in done.stdout, "no difference where nothing can be compared"
        assert files() == damaged, command


def test_check_and_verify_tell_a_locked_pos_db(gateway: Gateway) -> None:
    gateway.start()
    gateway.client().buy("10")
    gateway.running.end()
    editor = sqlite3.connect(gateway.folder / "db" / "pos.db", isolation_level=None)
    editor.execute("BEGIN EXCLUSIVE")
    for command in ("check", "verify"):
        done = gateway.run(command, "-c=spot.json")
        assert done.returncode == 78 and "pos.db: database is locked; close" in done.stdout + done.stderr
    editor.close()


def test_verify_without_a_journal_says_so(gateway: Gateway) -> None:
    done = gateway.run("verify", "-c=spot.json")
    assert done.returncode == 78 and "nothing to verify" in done.stderr


def test_check_and_verify_tell_a_lost_journal_as_the_start_does(gateway: Gateway) -> None:
    gateway.start()
    gateway.client().buy("10")
    eventually(gateway.position, "pos.db shows it")
    gateway.running.end()
    folder = gateway.folder / "db"
    for path in folder.glob("journal.db*"):
        path.unlink()
    checked, verified = gateway.run("check", "-c=spot.json"), gateway.run("verify", "-c=spot.json")
    assert checked.returncode == 0 and verified.returncode == 78
    (warning,) = (line for line in checked.stdout.splitlines() if line.startswith("warn database: "))
    for said in (warning, verified.stderr):
        assert "written for a journal.db that is not here" in said and "put it back first" in said
    assert not (folder / "journal.db").exists()


def test_verify_online_compares_money_and_orders_with_the_exchange(
    gateway: Gateway, exchange: Exchange
) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    order = client.order(type="LIMIT", tif="GTC", price="0.15", qty="10")
    client.until(lambda frame: frame.get("event") == "order" and frame["order"]["order_id"] == order)
    eventually(lambda: gateway.position() is not None, "pos.db shows it")
    gateway.running.end()
    done = gateway.run("verify", "-c=spot.json", "--online")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 assets and 1 open orders as in the books, 1 fills and 2 orders as recorded" in done.stdout
    # While it is stopped: money comes in, an order is entered and one cancelled by hand.
    exchange.control("POST", "/control/transfer", {"account": "main", "asset": "USDT", "amount": "5"})
    by_hand = {"account": "main", "symbol": "BTCUSDT", "side": "BUY", "qty": "0.001", "price": "20000"}
    exchange.control("POST", "/control/trade", by_hand)
    accounts = exchange.control("GET", "/control/state")["accounts"]
    (main,) = (account for account in accounts if account["name"] == "main")
    (resting,) = (entry for entry in main["orders"] if entry["clientOrderId"] == order)
    which = {"account": "main", "symbol": "DOGEUSDT", "order_id": resting["orderId"]}
    exchange.control("POST", "/control/cancel", which)
    done = gateway.run("verify", "-c=spot.json", "--online")
    assert done.returncode == 78 and "3 differences" in done.stderr, done.stdout + done.stderr
    assert re.search(r"fail exchange: USDT: the books make [\d.]+, the exchange says", done.stdout)
    assert re.search(r"fail exchange: order \S+ of btcusdt is not in the books", done.stdout)
    assert f"fail exchange: order {order} is open in the books, and not at the exchange" in done.stdout
    exchange.kill()
    done = gateway.run("verify", "-c=spot.json", "--online")
    assert done.returncode == 69 and "ok   books" in done.stdout, done.stdout + done.stderr


def test_verify_online_compares_single_fills_and_ends_of_orders(gateway: Gateway, exchange: Exchange) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    resting = client.order(type="LIMIT", tif="GTC", price="0.15", qty="10")
    client.until(lambda frame: frame.get("event") == "order" and frame["order"]["order_id"] == resting)
    gateway.running.end()
    # While it is stopped the resting order is filled.
    exchange.control("POST", "/control/price", {"symbol": "DOGEUSDT", "price": "0.14"})

    def ended() -> bool:
        accounts = exchange.control("GET", "/control/state")["accounts"]
        return not any(account["orders"] for account in accounts if account["name"] == "main")

    eventually(ended, "the exchange to fill it")
    done = gateway.run("verify", "-c=spot.json", "--online")
    assert done.returncode == 78, done.stdout + done.stderr
    assert re.search(rf"fail exchange: trade \d+ of order {resting} is not in the books", done.stdout)
    gateway.start()
    eventually(
        lambda: len(gateway.sql("SELECT 1 FROM fill", "journal.db")) == 2, "it to be booked at a start"
    )
    eventually(lambda: gateway.position() == "19.98", "pos.db to show it")
    gateway.running.end()
    done = gateway.run("verify", "-c=spot.json", "--online")
    assert done.returncode == 0 and "2 fills and 2 orders as recorded" in done.stdout, (
        done.stdout + done.stderr
    )


def test_keygen_makes_a_pair_and_never_overwrites(gateway: Gateway, exchange: Exchange) -> None:
    done = gateway.run("keygen", "--out=new.pem")
    assert done.returncode == 0
    assert done.stdout.startswith("-----BEGIN PUBLIC KEY-----") and "PRIVATE" not in done.stdout + done.stderr
    made = gateway.folder / "new.pem"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    before = made.read_bytes()
    done = gateway.run("keygen", "--out=new.pem")
    assert done.returncode == 78 and "never overwritten" in done.stderr
    assert made.read_bytes() == before
