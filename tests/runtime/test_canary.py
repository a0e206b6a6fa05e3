"""No secret in anything a gateway writes, while everything goes wrong that can."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NoReturn

import pytest
from support import canary
from support.processes import (
    PATIENCE,
    Client,
    Exchange,
    Gateway,
    Refused,
    eventually,
    keygen,
    open_socket,
    program,
)
from websockets.exceptions import ConnectionClosed, InvalidStatus

PASSPHRASE = "canary-passphrase-5f0c2b71"
WRONG = "canary-wrong-passphrase-93aa"


def encrypted(gateway: Gateway, machine_lacks: Callable[[str], NoReturn]) -> canary.Secrets:
    """Puts the registered key under the passphrase; its secrets."""
    pem = gateway.folder / "private_key.pem"
    secrets = canary.of_key(pem)
    command = ["openssl", "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", str(pem), "-passout", "stdin"]
    try:
        done = subprocess.run(command, input=PASSPHRASE.encode(), capture_output=True, check=True)
    except FileNotFoundError:
        machine_lacks("no openssl")
    pem.write_bytes(done.stdout)
    canary.remember(canary.of_text("the passphrase", PASSPHRASE))
    return secrets | canary.of_text("the passphrase", PASSPHRASE) | canary.of_text("a wrong one", WRONG)


def ran(gateway: Gateway, name: str, *arguments: str, passphrase: str | None = PASSPHRASE) -> int:
    """Runs it to its end, what it says kept among the run's files; the exit code."""
    holder = gateway.folder / "passphrase"
    holder.write_text(f"{passphrase}\n")
    holder.chmod(0o600)
    env = os.environ | ({"TRADINGSYS_PASSPHRASE_FILE": str(holder)} if passphrase else {})
    with (gateway.folder / f"{name}.out").open("wb") as out:
        return subprocess.run(
            [program("spot"), *arguments], cwd=gateway.folder, env=env, stdin=subprocess.DEVNULL,
            stdout=out, stderr=out, start_new_session=True, timeout=PATIENCE, check=False,
        ).returncode  # fmt: skip


def annoyed(gateway: Gateway, token: str) -> None:
    """Everything a client may do wrong, the token where it does not belong among it."""
    with ExitStack() as stack:
        with pytest.raises(InvalidStatus):
            open_socket(gateway.url, stack, additional_headers={"Origin": f"https://{token}.example"})
        raw = open_socket(f"{gateway.url}/?token={token}", stack)
        for text in (
            "{",
            f'{{"id":1,"method":"{token}"}}',
            f'{{"id":1,"method":"login","params":"{token}"}}',
        ):
            raw.send(text)
            raw.recv(30)
    for login in ({"proof": token}, {"proof": "00" * 32}):
        with pytest.raises(Refused):
            Client(gateway, 5, **login)
    client = gateway.client(1, name=f"strategy with {token}")
    client.buy("10")
    for wrong in ({"symbol": "nosuch"}, {"qty": "0"}, {"qty": "1e99"}, {"price": token}):
        with pytest.raises(Refused):
            client.place(**({"symbol": "dogeusdt", "side": "BUY", "type": "MARKET", "qty": "10"} | wrong))
    with suppress(ConnectionClosed):
        client.socket.send("x" * 70_000)
        client.socket.recv(30)


def test_r70_i20_a_run_with_everything_going_wrong_tells_no_secret(
    gateway: Gateway, exchange: Exchange, machine_lacks: Callable[[str], NoReturn]
) -> None:
    secrets = encrypted(gateway, machine_lacks)
    folder = gateway.folder
    assert ran(gateway, "shut", "-c=spot.json", "-l=debug", passphrase=WRONG) == 77
    assert ran(gateway, "asked", "check", "-c=spot.json", passphrase=None) == 78
    assert ran(gateway, "argument", "-c=spot.json", f"--passphrase={WRONG}") == 2
    assert ran(gateway, "right", "check", "-c=spot.json") == 0
    config = dict(gateway.config)
    gateway.config["apikey"] = "another-key"
    gateway.write_config()
    assert ran(gateway, "refused", "-c=spot.json", "-l=debug") == 77
    gateway.config = config
    gateway.write_config()
    (folder / "passphrase").write_text(f"{PASSPHRASE}\n")
    gateway.start("-l=debug", env=os.environ | {"TRADINGSYS_PASSPHRASE_FILE": str(folder / "passphrase")})
    secrets |= canary.of_text("the token", gateway.token)
    annoyed(gateway, gateway.token)
    exchange.control("POST", "/control/faults", [{"fault": "clock.skew", "ms": 5000}])
    exchange.end(signal.SIGKILL)
    eventually(lambda: gateway.logged("state", state="Down"), "the exchange is missed")
    gateway.running.end()
    assert ran(gateway, "verified", "verify", "-c=spot.json") == 0
    assert canary.leaks(folder, secrets) == []


@pytest.fixture
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret of this test may lie about."""
    monkeypatch.delenv(canary.VARIABLE)


@pytest.mark.usefixtures("unwatched")
def test_the_canary_sings(tmp_path: Path) -> None:
    """A search that finds nothing anywhere proves nothing."""
    keygen(tmp_path)
    secrets = canary.of_key(tmp_path / "private_key.pem") | canary.of_text("a word", "5f0c2b71")
    for number, secret in enumerate(secrets.values()):
        folder = tmp_path / f"{number}-of-all" / "log"
        folder.mkdir(parents=True)
        (folder / "spot.log").write_bytes(b"before " + secret + b" after\n")
        assert canary.leaks(folder.parent, secrets), secret


# A run of its own: two tests, of which one may let a secret out.
RUN = """
import os, pathlib, pytest
from support import canary

@pytest.fixture(scope="session", autouse=True)
def searched(tmp_path_factory):
    with canary.watched(tmp_path_factory.getbasetemp()):
        yield

def test_a_program(tmp_path):
    pass

def test_another_with_a_secret(tmp_path):
    canary.remember(canary.of_text("a door's token", "5f0c2b71" * 8))
    place = tmp_path / os.environ["PLACE"]
    place.parent.mkdir()
    place.write_bytes(bytes.fromhex(os.environ["LEAK"]))
"""


TOKEN = "5f0c2b71" * 8
BESIDE = ("--numprocesses=2", "--dist=load")


@pytest.mark.parametrize(
    ("leak", "place", "beside", "code"),
    [
        (TOKEN, "log/spot.log", BESIDE, 1),
        (base64.b64encode(TOKEN.encode()).decode(), "db/journal.db", (), 1),
        (TOKEN, "tokens/7.token", (), 0),
    ],
)
def test_r70_a_secret_that_any_test_lets_out_fails_the_whole_run(
    tmp_path: Path, leak: str, place: str, beside: tuple[str, ...], code: int
) -> None:
    (tmp_path / "test_it.py").write_text(RUN)
    left = f"--basetemp={tmp_path / 'left'}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", left]
    tests = Path(__file__).resolve().parents[1]
    env = os.environ | {"PLACE": place, "LEAK": leak.encode().hex(), "PYTHONPATH": str(tests)}
    done = subprocess.run(
        [*command, *beside, "test_it.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("secrets in what the run has left" in done.stdout) == bool(code), done.stdout


def test_a_search_that_is_blind_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "found_in", lambda *_: [])
    with pytest.raises(AssertionError, match="blind"), canary.watched(tmp_path):
        pass


@pytest.mark.usefixtures("unwatched")
def test_every_form_of_a_key_is_found_among_thousands(tmp_path: Path) -> None:
    keygen(tmp_path)
    secrets = canary.of_key(tmp_path / "private_key.pem")
    many = secrets | {f"another {n}": os.urandom(32) for n in range(3000)}
    for number, secret in enumerate(secrets.values()):
        folder = tmp_path / f"run{number}" / "db"
        folder.mkdir(parents=True)
        (folder / "journal.db").write_bytes(b"\0before " + secret + b" after\n")
        assert canary.found_in(folder.parent, many), secret
