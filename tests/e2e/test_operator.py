"""The operator's commands, as processes, at a real gateway with a strategy that trades."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import MachineLacks
from support.certificates import make_certificate
from support.processes import PATIENCE, Client, Refused, eventually, free_port
from support.system import System
from websockets.sync.server import ServerConnection, serve

import pyalgo

GOLDEN = Path(__file__).resolve().parents[2] / "docs" / "golden" / "operator.json"
# The replies of the golden frames by the number of their request.
REPLIES = {"status": 3, "sessions": 4, "orders": 5, "positions": 6, "limits": 7}
# Code of a refusal where the only look at the exchange's clock was taken while the machine stood still.
CLOCK_OFF = -30005


class Desk:
    """A gateway, a strategy that has bought and has an order open, and the command."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.engine = pyalgo.Engine()
        self.session = self.engine.make_session(
            system.address, 1, name="maker", trading=True, token_file=system.token_file
        )
        self.sub = self.session.subscribe("dogeusdt", "bbo")

    def bid(self) -> float:
        """The best bid, once there is one: after a login, or while the market is behind, it is no number."""
        until = time.monotonic() + PATIENCE
        while math.isnan(price := self.sub.bid_prc(0)):
            assert time.monotonic() < until, "no best bid"
            self.engine.process()
        return price

    def buys(self, qty: float, price: float | None = None) -> pyalgo.SmartOrder:
        """Sends an order and waits until it is more than sent; again where only the machine stood still."""
        kind = pyalgo.OrderType.MARKET if price is None else pyalgo.OrderType.LIMIT
        until = time.monotonic() + PATIENCE
        while True:
            order = pyalgo.SmartOrder(self.sub, adopt=False)
            order.send(price, qty, pyalgo.Side.BUY, kind)
            while order.state == pyalgo.OrderState.PENDING or (price is None and order.is_active):
                self.engine.process()
            if order.code != CLOCK_OFF or time.monotonic() > until:
                return order

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`pyalgo`, with the address of this gateway unless it is given."""
        where = [] if "--addr" in arguments else ["--addr", self.system.address]
        return subprocess.run(
            [sys.executable, "-m", "pyalgo", *arguments, *where], cwd=self.system.folder, text=True,
            env={**self.system.environment(), **environment}, capture_output=True, timeout=PATIENCE,
        )  # fmt: skip

    def lines(self, *arguments: str) -> list[str]:
        """What a command that succeeds says to people."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    def told(self, *arguments: str) -> Any:
        """What it says to machines."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


def code(order: pyalgo.SmartOrder) -> int | None:
    """Why it was refused, if it was."""
    return order.order.code if order.order else None


@pytest.fixture
def desk(system: System) -> Iterator[Desk]:
    """A strategy that holds 50 DOGE and has an order for 100 more far below the market."""
    desk = Desk(system)
    with desk.engine:
        desk.buys(50)
        desk.buys(100, desk.bid() * 0.9)
        yield desk


def members(value: Any, place: str = "") -> set[str]:
    """Names of all members, by where they stand; within `limits` and `stop` they are others'."""
    if isinstance(value, list):
        return set().union(*(members(item, place) for item in value))
    if not isinstance(value, dict):
        return set()
    names = {f"{place}.{name}" for name in value}
    within = ((name, item) for name, item in value.items() if f"{place}.{name}" not in (".limits", ".stop"))
    return names.union(*(members(item, f"{place}.{name}") for name, item in within))


def golden(command: str) -> set[str]:
    """The members that the documentation shows of a reply."""
    frames = [g["frame"] for g in json.loads(GOLDEN.read_text()) if g["from"] == "gateway"]
    return members([f["result"] for f in frames if f["id"] == REPLIES[command] and "result" in f])


@pytest.mark.parametrize("command", REPLIES)
def test_every_reply_has_the_documented_members(desk: Desk, command: str) -> None:
    found = members(desk.told(command))
    # What is shown only where there is something to say.
    optional = {
        name
        for name in golden(command)
        if name.startswith(".problems.") or name.rpartition(".")[2] in OPTIONAL
    }
    assert found <= golden(command)
    assert golden(command) - optional <= found


OPTIONAL = {
    "reason", "symbol", "stop_price", "conditional_id", "of", "limit", "value", "used", "session_id", "tif",
    "price",
}  # fmt: skip


def test_the_operator_sees_what_a_strategy_does(desk: Desk) -> None:
    status = desk.told("status")
    assert (status["state"], status["recovery"], status["limits"]) == ("ready", "ready", "none")
    assert status["orders"] == {"open": 1, "external": 0, "unknown": 0}
    assert status["sessions"] == {"connected": 1, "known": 1}
    assert status["entry"]["up"] and status["feed"]["up"]
    assert any(window["used"] > 0 and window["limit"] > 0 for window in status["budget"])
    (session,) = desk.told("sessions")
    assert (session["name"], session["trading"], session["positions"]) == ("maker", True, 1)
    (order,) = desk.told("orders", "--session", "1")
    assert (order["symbol"], order["qty"], order["state"]) == ("dogeusdt", "100", "NEW")
    assert desk.told("orders", "--session", "2") == []

    def compared() -> Any:
        # A balance may be told after the fills that made it.
        told = desk.told("positions")
        same = all(float(asset["difference"]) == 0 for asset in told["assets"])
        return told if told["compared"] and same else None

    held = eventually(compared, "books that are the account")
    (position,) = held["positions"]
    assert float(position["net"]) == pytest.approx(desk.sub.net)
    doge = next(asset for asset in held["assets"] if asset["asset"] == "DOGE")
    assert doge["sessions"] == [{"session_id": 1, "amount": position["net"]}]


def test_tables_are_for_people(desk: Desk) -> None:
    status = "\n".join(desk.lines("status"))
    assert "state       ready" in status and "open orders 1, of them 0 unknown" in status
    assert "orders      up for" in status and "market data up for" in status
    sessions = desk.lines("sessions")
    assert sessions[0].split()[:2] == ["session", "name"] and sessions[1].split()[:2] == ["1", "maker"]
    orders = desk.lines("orders")
    assert "dogeusdt" in orders[1] and "NEW" in orders[1] and "100" in orders[1].split()
    assert desk.lines("orders", "--session", "7") == ["no open orders"]

    def ties_out() -> bool:
        return any(line.startswith("USDT") and line.endswith("  0") for line in desk.lines("positions"))

    eventually(ties_out, "a difference of nothing")
    assert desk.lines("limits")[0].startswith("limits of: none, revision 0")


def test_r61_a_limit_set_while_a_strategy_trades_judges_its_next_order(desk: Desk) -> None:
    price = desk.bid() * 0.9
    assert desk.buys(100, price).state == "NEW"
    shown = desk.lines("limits", "--set", "session.order_qty.dogeusdt=99")
    assert any(line.split() == ["session", "1", "order_qty", "dogeusdt", "-", "99"] for line in shown)
    refused = desk.buys(100, price)
    assert (refused.state, code(refused)) == ("REJECTED", -21002)
    assert desk.buys(99, price).state == "NEW"
    told = desk.told(
        "limits", "--set", "sessions.1.open_orders=3", "--set", "account.symbols=dogeusdt,btcusdt",
        "--name", "night shift",
    )  # fmt: skip
    assert told["limits"]["session"] == {"order_qty": {"dogeusdt": "99"}}, "what was set before holds on"
    assert told["limits"]["account"] == {"symbols": ["btcusdt", "dogeusdt"]}
    used = {(row["session_id"], row["limit"]): row["used"] for row in told["in_force"]}
    assert used[1, "open_orders"] == "3"
    refused = desk.buys(50, price)
    assert code(refused) == -21005, "limit_open_orders"
    desk.system.gateway.await_logged("limits set by the operator", by="night shift")
    desk.lines("limits", "--unset", "sessions.1.open_orders")
    assert desk.buys(50, price).state == "NEW"
    assert desk.told("limits", "--reset")["source"] == "none"
    assert desk.buys(100, price).state == "NEW"


def test_r61_limits_set_while_it_runs_outlive_the_gateway(system: System) -> None:
    desk = Desk(system)
    desk.lines("limits", "--set", "session.order_qty.dogeusdt=9", "--set", "refuse_self_trade=true")
    desk.engine.stop()
    system.gateway.running.kill()
    system.gateway.start()
    client = system.gateway.client(2)
    with pytest.raises(Refused) as refused:
        client.order(type="MARKET", qty="10")
    assert refused.value.error["name"] == "limit_order_size"
    assert desk.told("limits")["source"] == "operator"
    system.gateway.running.end()
    system.gateway.config["limits"] = {"session": {"open_orders": 5}}
    system.gateway.write_config()
    system.gateway.start()
    told = desk.told("limits")
    assert (told["source"], told["limits"]) == ("configuration", {"session": {"open_orders": 5}})
    system.gateway.await_logged("limits of the operator hold no more")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "session.order_qty=5"], "must be an object of amounts in quotes by symbol"),
        (["--set", "session.order_quantity.dogeusdt=5"], 'did you mean "order_qty"'),
        (["--set", "session.open_orders=many"], "session.open_orders=many"),
        (["--set", "everyone.open_orders=5"], "no path of a limit"),
        (["--set", "session.open_orders"], "write PATH=VALUE"),
        (["--unset", "session.open_orders"], "there is no such limit"),
        (["--file", "nowhere.json"], "nowhere.json"),
        (["--set", "sessions.65536.open_orders=5"], "no session number"),
        (["--set", "session.open_orders=5", "--watch", "1"], "changed once"),
        (["--set", "session.open_orders=5", "--reset"], "nothing goes with it"),
    ],
)
def test_a_wrong_limit_is_named_and_changes_nothing(desk: Desk, arguments: list[str], words: str) -> None:
    done = desk.run("limits", *arguments)
    assert done.returncode in (1, 2) and words in done.stderr, done
    assert desk.told("limits")["revision"] == 0


def test_who_is_not_the_operator_is_told_so(desk: Desk) -> None:
    system = desk.system
    done = desk.run("status", "--token-file", str(system.token_file))
    assert done.returncode == 77 and "does not match the operator's token" in done.stderr
    wrong = system.folder / "wrong.token"
    wrong.write_text("f" * 64)
    assert desk.run("orders", "--token-file", str(wrong)).returncode == 77
    done = desk.run("status", "--token-file", "nowhere", "--json")
    assert done.returncode == 77 and json.loads(done.stdout)["error"]["name"] == "bad_proof"
    assert desk.run("status", TRADINGSYS_OPERATOR_TOKEN_FILE="nowhere").returncode == 77
    assert system.gateway.operator_token not in done.stderr
    nobody = f"ws://localhost:{free_port()}"
    done = desk.run("status", "--addr", nobody)
    assert done.returncode == 69 and f"no gateway at {nobody}" in done.stderr
    assert desk.run("status", "--addr", "localhost").returncode == 69
    for wrong_use in (
        ["status", "--nonsense"],
        ["orders", "--session", "65536"],
        ["pause", "--session", "x"],
    ):
        assert desk.run(*wrong_use).returncode == 2, wrong_use


def test_r73_a_session_has_none_of_the_operators_requests(desk: Desk) -> None:
    session = Client(desk.system.gateway, 3)
    asked = {
        "operator.status": {}, "operator.orders": {}, "operator.positions": {}, "operator.limits": {},
        "operator.set_limits": {"limits": None},
    }  # fmt: skip
    for method, params in asked.items():
        with pytest.raises(Refused) as refused:
            session.call(method, **params)
        assert refused.value.error["name"] == "not_operator", method
    session.close()


def test_the_unix_socket_and_tls_lead_to_the_operators_door(
    system: System, machine_lacks: MachineLacks
) -> None:
    gateway = system.gateway
    gateway.running.end()
    make_certificate(gateway.folder, machine_lacks, "DNS:localhost,IP:127.0.0.1")
    gateway.config |= {
        "local": "wss://localhost:0", "tls": {"cert": "tls.pem", "key": "tls.key"}, "unix_socket": "s.sock",
    }  # fmt: skip
    gateway.write_config()
    gateway.start()
    desk = object.__new__(Desk)
    desk.system = system
    assert desk.told("status", "--ca", "tls.pem")["market"] == "spot"
    kept = gateway.operator_token
    socket = f"unix:{gateway.folder / 's.sock'}"
    done = desk.run(
        "status", "--addr", socket, "--json", TRADINGSYS_TOKEN_FILE=str(gateway.folder / "s.sock.token")
    )
    assert done.returncode == 0, done.stderr
    assert desk.run("status").returncode == 69, "the certificate is not to be trusted"
    gateway.running.end()
    gateway.start()
    assert gateway.operator_token == kept, "with TLS it may have been carried elsewhere"


def test_r64_the_operators_token_lies_where_it_is_said_and_in_no_file_of_strategies(system: System) -> None:
    gateway = system.gateway
    gateway.running.end()
    gateway.config |= {"unix_socket": "s.sock", "operator_token_file": "s.sock.token"}
    gateway.write_config()
    refused = gateway.run("-c=spot.json")
    assert refused.returncode == 78 and "name another file" in refused.stderr
    assert not (gateway.folder / "s.sock.token").exists()
    gateway.config["operator_token_file"] = "operators/token"
    gateway.write_config()
    gateway.start()
    file = gateway.folder / "operators" / "token"
    assert file.stat().st_mode & 0o077 == 0 and file.read_text() != gateway.token
    assert (gateway.folder / "s.sock.token").read_text() == gateway.token
    desk = object.__new__(Desk)
    desk.system = system
    assert desk.told("status", "--token-file", "operators/token")["market"] == "spot"
    assert desk.run("status").returncode == 77, "not beside the door's"


def test_watch_asks_again_and_again(desk: Desk) -> None:
    command = [sys.executable, "-u", "-m", "pyalgo", "status", "--watch", "0.1", "--json", "--addr"]
    with subprocess.Popen(
        [*command, desk.system.address], env=desk.system.environment(), stdout=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        times = [json.loads(watching.stdout.readline())["time"] for _ in range(3)]
        watching.terminate()
    assert times == sorted(set(times))


def findings(desk: Desk, *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """Exit code of the doctor, and what he has found by what he looked at."""
    program = str(desk.system.gateway.running.popen.args[0])  # type: ignore[index]
    done = desk.run("doctor", "--gateway", program, *arguments, "--json")
    told = json.loads(done.stdout)
    assert told["well"] == (done.returncode == 0)
    return done.returncode, {f["what"]: (f["status"], f["words"]) for f in told["findings"]}


def test_the_doctor_asks_the_gateway_and_looks_where_it_cannot(desk: Desk) -> None:
    system = desk.system
    code, found = findings(desk, "-c", "spot.json")
    assert code == 0, found
    for what in (
        "python", "pyalgo", "configuration", "mode", "database", "key", "exchange", "clock", "logon",
        "permissions", "token", "operator token", "door", "versions", "account", "limits in force", "state",
    ):  # fmt: skip
        assert found[what][0] == "ok", what
    # How full the disk of a test is, is not ours.
    assert "free for" in found["disk"][1] and "free for" in found["log disk"][1]
    assert "mode 600" in found["operator token"][1] and found["state"][1] == "ready"
    (system.folder / "operator.token").chmod(0o644)
    code, found = findings(desk, "-c", "spot.json")
    assert code == 77 and found["operator token"][0] == "fail" and "chmod 600" in found["operator token"][1]
    (system.folder / "operator.token").chmod(0o600)
    system.exchange.kill()
    code, found = findings(desk, "-c", "spot.json")
    assert code == 69 and found["exchange"][0] == "fail"
    eventually(lambda: desk.told("status")["state"] == "down", "the gateway to notice")
    status, words = findings(desk, "-c", "spot.json")[1]["state"]
    assert status == "warn" and "link_down (" in words


def test_the_doctor_says_what_he_could_not_look_at(desk: Desk) -> None:
    system = desk.system
    (system.folder / "bad.json").write_text('{"apikey": "k", "pem": "p", "locale": "ws://localhost:1"}')
    code, found = findings(desk, "-c", "bad.json")
    assert code == 78 and "did you mean" in found["gateway"][1]
    done = desk.run("doctor", "--gateway", "nowhere", "-c", "spot.json")
    assert done.returncode == 69 and "fail gateway: nowhere check" in done.stdout
    nobody = f"ws://localhost:{free_port()}"
    done = desk.run("doctor", "--addr", nobody)
    assert done.returncode != 0 and f"fail door: no gateway at {nobody}" in done.stdout


def test_r60_the_operator_stops_everything_and_lets_it_go_on(desk: Desk) -> None:
    system, price = desk.system, desk.bid() * 0.9
    assert any(
        "PAUSED" in line and "at lunch" in line for line in desk.lines("pause", "--reason", "at lunch")
    )
    refused = desk.buys(100, price)
    assert code(refused) == -22002, "paused"
    assert desk.told("sessions")[0]["stopped"] == "paused"
    assert desk.lines("resume") == ["nothing is stopped"]
    assert desk.buys(100, price).state == "NEW" and len(system.orders()) == 2
    stop = desk.told("kill", "--reason", "too fast", "--wait", "100")
    assert stop["killed"]["reason"] == "too fast" and stop["live"] == [] and stop["confirmed"]
    assert system.orders() == [], "gone at the exchange, by its own word"
    refused = desk.buys(100, price)
    assert code(refused) == -22001, "killed"
    assert any(line.startswith("KILLED") and "too fast" in line for line in desk.lines("status"))
    assert (system.folder / "db" / "KILL").exists(), "it says so only when a restart would know it, too"
    system.gateway.running.kill()
    system.gateway.start()
    assert desk.told("status")["stop"]["killed"], "a restart forgets nothing of it"
    assert desk.lines("clear") == ["nothing is stopped"]
    assert not desk.told("status")["stop"]["killed"]


def test_r60_what_is_less_than_the_exchange_takes_is_not_waited_for(desk: Desk) -> None:
    """The fee is taken of what was bought, so that no whole number is held."""
    done = desk.run("kill", "--flatten", "--wait", "110")
    assert done.returncode == 0, done
    assert any(line.startswith("stays       session 1, 0.") for line in done.stdout.splitlines()), done
    # `pos.db` follows what the gateway itself holds.
    eventually(lambda: desk.system.positions()[1, "dogeusdt"] < 1, "the rest in pos.db")


def test_r60_what_the_exchange_refuses_to_close_is_not_waited_for(desk: Desk) -> None:
    """Refused once, it is not sent again; a switch that is pulled anew tries anew."""
    refusal = {"fault": "reply.error", "side": "api", "method": "order.place", "code": -2010}
    desk.system.exchange.control("POST", "/control/faults", [refusal])
    done = desk.run("kill", "--flatten", "--wait", "110")
    assert done.returncode == 0, done
    stays = [line for line in done.stdout.splitlines() if line.startswith("stays       session 1, ")]
    assert len(stays) == 1 and "the exchange refused to close" in stays[0] and "-2010" in stays[0], done
    assert desk.system.positions()[1, "dogeusdt"] > 1
    desk.system.exchange.control("DELETE", "/control/faults")
    assert desk.run("clear").returncode == 0
    assert desk.run("kill", "--flatten", "--wait", "110").returncode == 0
    eventually(lambda: desk.system.positions()[1, "dogeusdt"] < 1, "the rest in pos.db")


def test_r60_what_cannot_be_cancelled_is_told_with_an_exit_code(desk: Desk) -> None:
    desk.system.exchange.kill()
    done = desk.run("kill", "--wait", "0.5")
    assert done.returncode == 1 and "not finished" in done.stdout, done
    assert any(line.startswith("still live") for line in done.stdout.splitlines())


def test_r60_a_stop_that_a_restart_would_forget_is_told_with_an_exit_code(desk: Desk) -> None:
    in_its_place = desk.system.folder / "db" / "stop.json.new"
    in_its_place.mkdir()
    done = desk.run("pause", "--reason", "at lunch")
    assert done.returncode == 1, done
    assert "PAUSED" in done.stdout and "not kept    a restart would forget" in done.stdout
    assert code(desk.buys(100, desk.bid() * 0.9)) == -22002, "it holds all the same"
    in_its_place.rmdir()
    assert desk.told("pause")["not_kept"] is None


def test_whoever_interrupts_a_stop_is_not_told_that_it_is_done(desk: Desk) -> None:
    desk.system.exchange.kill()
    command = [sys.executable, "-m", "pyalgo", "kill", "--wait", "600", "--addr", desk.system.address]
    with subprocess.Popen(command, env=desk.system.environment(), stdout=subprocess.PIPE) as waiting:
        eventually(lambda: desk.told("status")["stop"]["killed"], "the switch to be pulled")
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(PATIENCE) == 130


def test_words_from_outside_do_not_move_the_cursor(desk: Desk) -> None:
    told = desk.lines("pause", "--session", "9", "--reason", "\x1b[2J\rall is well")
    assert any("\ufffd[2J\ufffdall is well" in line for line in told), told
    assert all(line.isprintable() for line in desk.lines("status"))


Answer = Callable[[ServerConnection], None]


@contextmanager
def listening(answer: Answer) -> Iterator[str]:
    """Something else than a gateway of ours, and its address."""
    with serve(answer, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


def says_nothing(connection: ServerConnection) -> None:
    """Hears everything."""
    for _ in connection:
        pass


def knows_no_operator(connection: ServerConnection) -> None:
    """A gateway of an earlier version."""
    words = "params of hello: unknown field `operator`, expected one of `version`, `nonce`, `session_id`"
    error = {"code": -10008, "name": "bad_request", "message": words}
    connection.send(json.dumps({"id": json.loads(connection.recv())["id"], "error": error}))
    connection.recv()


def says_rubbish(connection: ServerConnection) -> None:
    """Speaks something else."""
    connection.recv()
    connection.send("220 mail.example ready")
    connection.recv()


def has_another_token(connection: ServerConnection) -> None:
    """Would like to be shown a proof."""
    welcome = {"version": 1, "market": "spot", "gateway": "g", "nonce": "00" * 16, "proof": "00" * 32}
    connection.send(json.dumps({"id": json.loads(connection.recv())["id"], "result": welcome}))
    connection.recv()


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (says_nothing, 69, ""),
        (ServerConnection.close, 69, "no gateway at"),
        (knows_no_operator, 76, "older"),
        (says_rubbish, 76, "cannot be read"),
        (has_another_token, 77, "does not match the operator's token"),
    ],
)
def test_what_is_no_gateway_of_ours_has_its_exit_code(
    tmp_path: Path, answer: Answer, expected: int, words: str
) -> None:
    token = tmp_path / "operator.token"
    token.write_text("a" * 64)
    patience = ["--timeout", "1"] if answer is says_nothing else []
    with listening(answer) as address:
        done = subprocess.run(
            [sys.executable, "-m", "pyalgo", "status", "--addr", address, "--token-file", token, *patience],
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
    assert done.returncode == expected and words in done.stderr, done
    assert done.stdout == "" and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--ca", "nowhere.pem", "--addr", "wss://localhost:1"], 69),
        (["--ca", "nowhere.pem", "--addr", "ws://localhost:1"], 2),
        (["--timeout", "nan"], 2),
        (["--timeout", "-1"], 2),
        (["--watch", "0"], 2),
    ],
)
def test_bad_usage_is_told_in_words(arguments: list[str], expected: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pyalgo", "status", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == expected and "Traceback" not in done.stderr and done.stderr, done
