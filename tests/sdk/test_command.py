"""The command `pyalgo` by itself: what it makes of its arguments, its output, and gateways that are none."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.processes import PATIENCE, free_port, proof
from websockets.sync.server import ServerConnection, serve

from pyalgo import _doctor, _exits, _limits, _operate

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a" * 64
STOP = {
    "killed": {"by": 'operator "me"', "reason": "", "since": 1, "flatten": True}, "paused_all": None,
    "paused": {}, "not_kept": None, "live": [], "confirmed": 2, "others": 0, "closing": [], "lost": [],
}  # fmt: skip
STATUS = {
    "market": "spot", "install": "7cz1k", "state": "ready", "problems": [], "limits": "operator",
    "stop": STOP,
}  # fmt: skip
Answers = Callable[[str], Any]


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """`pyalgo`, as a process."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": PATIENCE} | options
    return subprocess.run([sys.executable, "-m", "pyalgo", *arguments], text=True, **options)


@contextmanager
def gateway(folder: Path, answers: Answers, asked: list[Any] | None = None) -> Iterator[list[str]]:
    """A gateway that lets the operator in and answers as it is told; the arguments to reach it."""

    def talk(connection: ServerConnection) -> None:
        hello = json.loads(connection.recv())
        ours, theirs = "00" * 16, hello["params"]["nonce"]
        shown = proof(TOKEN, "gateway", theirs, ours)
        welcome = {"version": 1, "market": "spot", "gateway": "g 1", "nonce": ours, "proof": shown}
        connection.send(json.dumps({"id": hello["id"], "result": welcome}))
        for text in connection:
            frame = json.loads(text)
            if asked is not None:
                asked.append(frame)
            entered = {"install": "7cz1k", "epoch": 1, "time": 1}
            result = entered if frame["method"] == "operate" else answers(frame["method"])
            if result is None:
                return
            connection.send(json.dumps({"id": frame["id"], "result": result}))

    token = folder / "operator.token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    with serve(talk, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            port = server.socket.getsockname()[1]
            yield ["--addr", f"ws://127.0.0.1:{port}", "--token-file", str(token)]
        finally:
            server.shutdown()
            thread.join()


def says(result: Any) -> Answers:
    """Answers everything by the same."""
    return lambda method: STATUS if method == "operator.status" else result


def unread() -> int:
    """A pipe that nobody reads."""
    reads, writes = os.pipe()
    os.close(reads)
    return writes


NOT_DONE = STOP | {"live": [{"order_id": "o1", "symbol": "dogeusdt", "last": "no way"}], "confirmed": None}


@pytest.mark.parametrize("place", ["a reader that has gone", "a full disk"])
@pytest.mark.parametrize(("stop", "expected"), [(STOP, 0), (NOT_DONE, 1)])
def test_what_was_done_keeps_its_exit_code_whatever_becomes_of_its_words(
    tmp_path: Path, stop: Any, expected: int, place: str
) -> None:
    told = {"operator.kill": stop, "operator.status": {"stop": stop}}
    with gateway(tmp_path, told.__getitem__) as there:
        to = unread() if place == "a reader that has gone" else os.open("/dev/full", os.O_WRONLY)
        done = command("kill", "--wait", "0", *there, stdout=to)
        os.close(to)
    assert done.returncode == expected, done
    assert ("could not be written" in done.stderr) == (place == "a full disk")
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


def test_output_that_is_lost_is_no_success_of_what_only_asks(tmp_path: Path) -> None:
    with gateway(tmp_path, says([])) as there:
        full = os.open("/dev/full", os.O_WRONLY)
        assert command("sessions", *there, stdout=full).returncode == 74
        os.close(full)
        nobody = unread()
        assert command("sessions", *there, stdout=nobody).returncode == 0
        os.close(nobody)
    nobody = unread()
    done = command("doctor", "--addr", f"ws://localhost:{free_port()}", stdout=nobody, cwd=tmp_path)
    os.close(nobody)
    assert done.returncode == 69, "what fails fails, whoever reads of it"


def test_a_terminal_that_cannot_show_a_name_changes_nothing(tmp_path: Path) -> None:
    paused = {"by": 'operator "zoë \u2603"', "reason": "", "since": 1}
    with gateway(tmp_path, says(STOP | {"killed": None, "paused_all": paused})) as there:
        done = command("pause", *there, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and 'by operator "zo? ?"' in done.stdout, done


def test_who_stops_is_told_by_name(tmp_path: Path) -> None:
    asked: list[Any] = []
    with gateway(tmp_path, says(STOP), asked) as there:
        command("kill", "--reason", "a\udcffb", *there, env={**os.environ, "LOGNAME": "zoe"})
        command("clear", "--name", "night shift", *there)
    names = [frame["params"]["name"] for frame in asked if frame["method"] == "operate"]
    assert names == ["zoe", "night shift"]
    (kill,) = (frame for frame in asked if frame["method"] == "operator.kill")
    assert kill["params"]["reason"] == "a\ufffdb", "bytes that are no text keep nothing from being stopped"


def test_many_live_orders_are_not_asked_for_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("pyalgo._operate.time.sleep", slept.append)
    many = STOP | {"confirmed": None, "live": [{"order_id": "o", "symbol": "s", "last": ""}] * 200}
    stops = iter([many | {"live": many["live"][:5]}, STOP])

    class Gateway:
        def ask(self, method: str, params: str) -> str:
            return json.dumps({"stop": next(stops)})

    answer = _operate._stopped(Gateway(), many, 60, _operate._is_empty)  # type: ignore[arg-type]
    assert answer.code == 0 and slept == [1.0, 0.1]


def test_a_position_that_stays_is_not_waited_for(tmp_path: Path) -> None:
    dust = {
        "session": 1,
        "symbol": "dogeusdt",
        "net": "0.95",
        "last": "0.95 is less than the exchange takes: it stays",
    }
    flatten = (ROOT / "src/gateway/stop/flatten.rs").read_text()
    assert "is less than the exchange takes" in flatten and "{why}: it stays" in flatten
    with gateway(tmp_path, says(STOP | {"closing": [dust]})) as there:
        done = command("kill", "--flatten", "--wait", "600", *there)
    assert done.returncode == 0 and "stays       session 1, 0.95 dogeusdt" in done.stdout, done
    closing = dust | {"last": "sent o7"}
    told = {
        "operator.kill": STOP | {"closing": [closing]},
        "operator.status": {"stop": STOP | {"closing": [closing]}},
    }
    with gateway(tmp_path, told.__getitem__) as there:
        done = command("kill", "--flatten", "--wait", "0", *there)
    assert done.returncode == 1 and "still held  session 1" in done.stdout, done


def test_orders_that_are_left_alone_are_told(tmp_path: Path) -> None:
    with gateway(tmp_path, says(STOP | {"others": 3})) as there:
        done = command("clear", *there)
    assert "left alone  3 open orders that are of no session" in done.stdout, done


LIMITS = {"session": {"order_qty": {"dogeusdt": "1", "*": "2"}}, "sessions": {"7": {"open_orders": 1}}}


def test_a_symbol_is_the_same_in_any_case() -> None:
    set_ = _limits.changed(LIMITS, None, ["session.order_qty.DOGEUSDT=5"], [])
    assert set_["session"]["order_qty"] == {"dogeusdt": "5", "*": "2"}
    taken = _limits.changed(LIMITS, None, [], ["session.order_qty.DogeUSDT"])
    assert taken["session"]["order_qty"] == {"*": "2"}
    with pytest.raises(_limits.WrongLimit, match="there is no such limit"):
        _limits.changed(LIMITS, None, [], ["session.Order_Qty"])


@pytest.mark.parametrize("path", ["sessions.7", "sessions.7.open_orders"])
def test_a_session_without_limits_of_its_own_is_forgotten(path: str) -> None:
    assert _limits.changed(LIMITS, None, [], [path]) == {"session": LIMITS["session"]}
    two = LIMITS | {"sessions": {"7": {"open_orders": 1}, "8": {"open_orders": 2}}}
    assert _limits.changed(two, None, [], [path])["sessions"] == {"8": {"open_orders": 2}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"session": {"open_orders": 1, "open_orders": 100}}', "'open_orders' is there twice"),
        ('{"limits": {"session": {}, "session": {"open_orders": 1}}}', "'session' is there twice"),
        ('{"apikey": "hush hush", "pem": "key.pem"}', "'apikey' is no part of limits"),
        ("null", "limits are an object"),
        ('{"limits": null}', "limits are an object"),
    ],
)
def test_a_file_that_cannot_be_meant_is_sent_nowhere(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "limits.json"
    file.write_text(text)
    asked: list[Any] = []
    with gateway(tmp_path, says({"limits": {}, "revision": 0}), asked) as there:
        done = command("limits", "--file", str(file), *there)
    assert done.returncode == 2 and words in done.stderr and "hush" not in done.stderr, done
    assert "operator.set_limits" not in [frame["method"] for frame in asked]


def test_a_value_with_a_name_twice_is_refused() -> None:
    with pytest.raises(_limits.WrongLimit, match="'btcusdt' is there twice"):
        _limits.changed({}, None, ['session.order_qty={"btcusdt": "1", "btcusdt": "100"}'], [])


def test_machines_are_told_of_bad_usage_as_of_everything() -> None:
    for arguments in (["status", "--nonsense"], ["kill", "--wait", "x"], ["doctor", "--timeout", "nan"], []):
        done = command(*arguments, "--json")
        assert done.returncode == 2 and "see pyalgo" in done.stderr, done
        assert json.loads(done.stdout)["error"]["name"] == "usage"
        assert command(*arguments).stdout == ""


def test_a_gateway_that_was_there_is_not_to_be_started(tmp_path: Path) -> None:
    with gateway(tmp_path, lambda _: None) as there:
        done = command("clear", *there)
    assert done.returncode == 69 and "is lost; what was asked for may still be done" in done.stderr, done
    assert "start one" not in done.stderr


def test_a_checkout_has_the_command_that_the_wheel_installs() -> None:
    command = Path(sys.executable).with_name("pyalgo")
    for asked in ([command], [sys.executable, "-m", "pyalgo"]):
        done = subprocess.run([*asked, "status", "--nothing"], capture_output=True, text=True)
        assert (done.returncode, done.stderr.split()[:1]) == (_exits.USAGE, ["pyalgo:"]), done.stderr


def test_the_page_has_every_exit_code() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    table = page.split("## Exit codes")[1].split("##")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == list(_exits.MEANING)


def found(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    """The doctor's findings by what he looked at."""
    assert "Traceback" not in done.stderr, done
    return {f["what"]: (f["status"], f["words"]) for f in json.loads(done.stdout)["findings"]}


def program(folder: Path, script: str) -> Path:
    """A program to stand in for a gateway's `check`."""
    file = folder / "spot"
    file.write_text(f"#!{sys.executable}\n{script}\n")
    file.chmod(0o700)
    return file


def test_the_doctor_ends_orderly_where_the_gateway_does_not(tmp_path: Path) -> None:
    for answers, code in ((lambda _: None, 69), (lambda _: {"market": "spot"}, 78), (lambda _: [], 78)):
        with gateway(tmp_path, answers) as there:
            done = command("doctor", "--json", *there, cwd=tmp_path)
        assert done.returncode == code and found(done)["door"][0] == "ok", done
        assert found(done)["state"][0] == "fail", done


def test_what_the_doctor_may_not_see_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", closed)
    findings = list(_doctor._told("disk", _doctor._disk("disk", tmp_path / "spot.json", {}, "db", ".")))
    assert [(f.status, f.what, f.code) for f in findings] == [("fail", "disk", 78)]
    assert "Permission denied" in findings[0].words


@pytest.mark.parametrize(
    ("market", "config", "fails"),
    [
        ("spot", {}, False),
        ("usdt", {}, True),
        ("spot", {"install": "7cz1k"}, False),
        ("spot", {"install": "bbbbb"}, True),
    ],
)
def test_the_doctor_sees_that_another_gateway_answers(
    tmp_path: Path, market: str, config: Any, fails: bool
) -> None:
    (tmp_path / "spot.json").write_text(json.dumps(config))
    check = program(tmp_path, f"print('ok   mode: the {market} account, at ws://x')")
    with gateway(tmp_path, says([])) as there:
        done = command("doctor", "-c", "spot.json", "--gateway", str(check), "--json", *there, cwd=tmp_path)
    assert found(done)["account"][0] == ("fail" if fails else "ok"), done
    assert ("another gateway answers" in found(done)["account"][1]) == fails
    assert found(done)["limits in force"][1].startswith("those the operator has set")


def test_the_doctor_runs_no_program_of_the_folder_he_is_in(tmp_path: Path) -> None:
    built = tmp_path / "target" / "release"
    built.mkdir(parents=True)
    program(built, "print('ok   configuration: it ran')")
    (tmp_path / "spot.json").write_text("{}")
    nobody = f"ws://localhost:{free_port()}"
    done = command("doctor", "--json", "--addr", nobody, cwd=tmp_path)
    assert "it ran" not in done.stdout, done


def test_the_gateways_check_has_no_terminal_and_gets_the_passphrase_that_is_handed_on(tmp_path: Path) -> None:
    (tmp_path / "spot.json").write_text("{}")
    script = "import os, sys\nfd = int(sys.argv[-1].partition('=')[2])\nline = os.read(fd, 99).decode()\n"
    check = program(tmp_path, f"{script}print('ok   key:', line, os.getsid(0) == os.getpid())")
    reads, writes = os.pipe()
    os.write(writes, b"open sesame")
    os.close(writes)
    nobody = f"ws://localhost:{free_port()}"
    arguments = ["--gateway", str(check), "--addr", nobody, "--json", f"--passphrase-fd={reads}"]
    done = command("doctor", "-c", "spot.json", *arguments, cwd=tmp_path, pass_fds=(reads,))
    os.close(reads)
    assert found(done)["key"] == ("ok", "open sesame True"), done


def test_the_doctor_looks_for_tokens_where_who_connects_does(tmp_path: Path) -> None:
    """A gateway that was started without XDG_RUNTIME_DIR has written them below the home."""
    home = tmp_path / "home"
    (home / ".tradingsys").mkdir(parents=True)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("TRADINGSYS_")
    } | {"HOME": str(home), "XDG_RUNTIME_DIR": str(tmp_path / "runtime")}
    with gateway(tmp_path, says([])) as (_, address, *_):
        port = address.rpartition(":")[2]
        for name in (f"{port}.token", f"operator.{port}.token"):
            file = home / ".tradingsys" / name
            file.write_text(TOKEN)
            file.chmod(0o600)
        done = command("doctor", "--json", "--addr", address, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done
    assert found(done)["operator token"] == ("ok", f"{home}/.tradingsys/operator.{port}.token, mode 600")
    assert found(done)["door"][0] == "ok" and found(done)["token"][0] == "ok"
