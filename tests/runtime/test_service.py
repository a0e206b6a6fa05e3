"""As a service: the tests play the service manager, with a real socket."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import pytest
from support import canary
from support.processes import PATIENCE, Exchange, Gateway, eventually, program

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "packaging" / "tradingsys@.service"
BACKOFF = ("RestartSteps", "RestartMaxDelaySec")
WATCHDOG_S = 1.0
# Linux; Python has no name for it.
SO_TIMESTAMPNS = 35
PASSPHRASE = "canary of a unit 5f0c2b71"

MachineLacks = Callable[[str], NoReturn]


class Manager:
    """What systemd hears, and when."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # When a message came, not when this process got round to it.
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.bind(address)
        self.socket.setblocking(False)
        self.told: list[tuple[float, str]] = []

    def hear(self) -> list[str]:
        """All messages so far."""
        while True:
            try:
                message, ancillary, _, _ = self.socket.recvmsg(4096, 1024)
            except BlockingIOError:
                return [message for _, message in self.told]
            (stamp,) = (data for _, kind, data in ancillary if kind == SO_TIMESTAMPNS)
            seconds, nanos = struct.unpack("qq", stamp[:16])
            self.told.append((seconds + nanos / 1e9, message.decode()))

    def has(self, word: str) -> bool:
        """Did a message begin so?"""
        return any(message.startswith(word) for message in self.hear())

    def beats(self) -> list[float]:
        """When there were signs of life."""
        self.hear()
        return [at for at, message in self.told if message == "WATCHDOG=1"]


@contextmanager
def managed(gateway: Gateway, address: str, **more: str) -> Iterator[Manager]:
    """The gateway, started by a manager that hears it at that address."""
    manager = Manager(address)
    name = "@" + address[1:] if address.startswith("\0") else address
    watchdog = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
    try:
        gateway.start(env=os.environ | watchdog | more)
        yield manager
    finally:
        manager.socket.close()


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_a_service_manager_hears_ready_life_status_and_the_end(gateway: Gateway, kind: str) -> None:
    address = str(gateway.folder / "notify") if kind == "path" else f"\0tradingsys-test-{os.getpid()}"
    with managed(gateway, address) as manager:
        eventually(lambda: manager.has("READY=1"), "ready")
        assert manager.hear()[0].splitlines() == ["READY=1", f"MAINPID={gateway.running.popen.pid}"]
        # Ready means that a strategy can log in.
        client = gateway.client(1)
        eventually(lambda: manager.has("STATUS=ready"), "the status follows")
        assert client.buy("10")["order"]["state"] == "FILLED"

        def steady() -> bool:
            beats = manager.beats()[-6:]
            return len(beats) == 6 and all(after - before < WATCHDOG_S for before, after in pairwise(beats))

        eventually(steady, "signs of life in time")
        assert not manager.has("STOPPING=1")
        gateway.running.popen.send_signal(signal.SIGTERM)
        eventually(lambda: manager.has("STOPPING=1"), "the end")
        assert gateway.running.end() == 143
        assert [message for message in manager.hear() if message.startswith("READY")] == [manager.told[0][1]]


def test_a_service_manager_hears_what_the_exchange_is_up_to(gateway: Gateway, exchange: Exchange) -> None:
    with managed(gateway, str(gateway.folder / "notify")) as manager:
        eventually(lambda: manager.has("STATUS=ready"), "ready")
        exchange.end(signal.SIGKILL)
        eventually(lambda: manager.has("STATUS=link_down: "), "missed")
        # Away, the exchange costs no start: signs of life go on.
        before = len(manager.beats())
        eventually(lambda: len(manager.beats()) >= before + 5, "signs of life go on")


def test_a_loop_that_is_stuck_gives_no_sign_of_life(gateway: Gateway) -> None:
    """All other threads go on: what says nothing is the loop."""
    env = {"TRADINGSYS_FAILPOINT": "after_accept=stall"}
    with managed(gateway, str(gateway.folder / "notify"), **env) as manager:
        client = gateway.client(1)
        eventually(lambda: len(manager.beats()) >= 3, "signs of life")
        client.order(type="MARKET", qty="10")
        # The stall is over in six seconds: a gap of a whole watchdog's time is what a manager acts on.
        beats = manager.beats

        def silent() -> bool:
            times = beats()
            return any(after - before > 3 * WATCHDOG_S for before, after in pairwise(times))

        eventually(silent, "a silence")


def test_a_manager_that_is_not_there_is_told_of_and_stops_nothing(gateway: Gateway) -> None:
    gateway.start(env=os.environ | {"NOTIFY_SOCKET": str(gateway.folder / "nowhere")})
    assert gateway.client(1).buy("10")["order"]["state"] == "FILLED"
    gateway.await_logged("service_manager_not_reached", "nowhere")


def unit() -> dict[str, list[str]]:
    """The unit's settings."""
    settings: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            settings.setdefault(name, []).append(value)
    return settings


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path, machine_lacks: MachineLacks) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        machine_lacks("no systemd-analyze")
    version = subprocess.run([analyze, "--version"], capture_output=True, text=True, check=True).stdout
    lines = UNIT.read_text().splitlines(keepends=True)
    if int(version.split()[1]) < 254:
        # It knows no backoff, says so and goes on without.
        lines = [line for line in lines if not line.startswith(BACKOFF)]
    for exe in ("spot", "usdt"):
        text = "".join(lines).replace("/usr/local/bin/%i", str(program(exe)))
        (tmp_path / f"tradingsys@{exe}.service").write_text(text)
        command = [analyze, "verify", "--man=no", "--recursive-errors=no", f"./tradingsys@{exe}.service"]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_r53_the_unit_waits_longer_each_time_and_never_gives_up() -> None:
    settings = unit()
    steps, longest = (settings[name][0] for name in BACKOFF)
    assert 1 <= int(steps) <= 10 and int(settings["RestartSec"][0]) < int(longest) <= 60
    assert settings["StartLimitIntervalSec"] == ["0"] and settings["Restart"] == ["on-failure"]


def test_the_units_command_credential_and_codes_are_the_programs(gateway: Gateway) -> None:
    """What the unit says is done by hand: a credential's file of mode 0400, and the codes it goes by."""
    settings = unit()
    assert settings["ExecStart"] == ["/usr/local/bin/%i -c=%i.json"]
    (credential,) = settings["LoadCredential"]
    (variable, place) = settings["Environment"][0].split("=", 1)
    assert place == f"%d/{credential.split(':')[0]}"
    pem = gateway.folder / "private_key.pem"
    folder = gateway.folder / "credentials"
    folder.mkdir()
    secret = folder / "passphrase"
    canary.remember(canary.of_text("the passphrase", PASSPHRASE))
    secret.write_text(PASSPHRASE)
    secret.chmod(0o400)
    made = subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", str(pem), "-passout", f"file:{secret}"],
        capture_output=True, check=True,
    )  # fmt: skip
    pem.write_bytes(made.stdout)
    gateway.start(env=os.environ | {variable: str(secret)})
    assert gateway.client(1).buy("10")["order"]["state"] == "FILLED"
    ends = {str(gateway.running.end())}
    gateway.start(env=os.environ | {variable: str(secret)})
    ends.add(str(gateway.running.end(signal.SIGINT)))
    assert set(settings["SuccessExitStatus"][0].split()) == ends
    never_again = settings["RestartPreventExitStatus"][0].split()
    secret.chmod(0o600)
    secret.write_text("wrong")
    refused = subprocess.run(
        [program("spot"), "-c=spot.json"], cwd=gateway.folder, env=os.environ | {variable: str(secret)},
        capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert str(refused.returncode) in never_again
    for arguments in (["-c=nosuch.json"], ["--nosuch"]):
        assert str(gateway.run(*arguments).returncode) in never_again
    watchdog = int(settings["WatchdogSec"][0])
    assert settings["Type"] == ["notify"] and watchdog > 2
