"""The private key at rest: passphrases, permissions, and what is left of them afterwards."""

from __future__ import annotations

import os
import re
import resource
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from support import canary
from support.processes import PATIENCE, Gateway, Process, Refused, eventually, program

PASSPHRASE = "canary passphrase \u00e4 5f0c2b71"

MachineLacks = Callable[[str], NoReturn]


def openssl(machine_lacks: MachineLacks, *arguments: str | Path, **options: Any) -> bytes:
    """What OpenSSL makes of it."""
    try:
        return subprocess.run(["openssl", *arguments], check=True, capture_output=True, **options).stdout
    except FileNotFoundError:
        machine_lacks("no openssl")


def encrypted(gateway: Gateway, machine_lacks: MachineLacks, *method: str) -> None:
    """Puts the registered key under the passphrase."""
    pem = gateway.folder / "private_key.pem"
    text = openssl(
        machine_lacks, "pkcs8", "-topk8", "-in", pem, *method, "-passout", "stdin",
        input=PASSPHRASE.encode() + b"\n",
    )  # fmt: skip
    assert b"ENCRYPTED" in text
    canary.remember(canary.of_text("the passphrase", PASSPHRASE))
    pem.write_bytes(text)


def passphrase_file(gateway: Gateway, text: str = PASSPHRASE, mode: int = 0o600) -> dict[str, str]:
    """The environment that names a file with it."""
    file = gateway.folder / "passphrase"
    file.write_text(f"{text}\n")
    file.chmod(mode)
    return os.environ | {"TRADINGSYS_PASSPHRASE_FILE": str(file)}


def checked(gateway: Gateway, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """`spot check`, away from any terminal."""
    command = [program("spot"), "check", "-c=spot.json", *arguments]
    options = {"start_new_session": True, "stdin": subprocess.DEVNULL} | options
    return subprocess.run(
        command, cwd=gateway.folder, capture_output=True, text=True, timeout=PATIENCE, check=False, **options
    )


@pytest.mark.parametrize(
    "method",
    [
        ("-v2", "aes-256-cbc"),
        ("-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"),
        ("-v2", "aes-256-cbc", "-scrypt"),
    ],
)
def test_r69_a_key_openssl_encrypted_opens(
    gateway: Gateway, machine_lacks: MachineLacks, method: tuple[str, ...]
) -> None:
    encrypted(gateway, machine_lacks, *method)
    done = checked(gateway, env=passphrase_file(gateway))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   logon" in done.stdout, "it is the registered key"


def test_r69_an_old_method_is_named_with_the_way_out(gateway: Gateway, machine_lacks: MachineLacks) -> None:
    encrypted(gateway, machine_lacks, "-v1", "PBE-SHA1-3DES")
    done = checked(gateway, env=passphrase_file(gateway))
    assert done.returncode == 78
    assert "a method that is not supported" in done.stdout and "-v2 aes-256-cbc" in done.stdout


def test_r69_keygen_encrypts_and_openssl_opens_it(gateway: Gateway, machine_lacks: MachineLacks) -> None:
    pem = gateway.folder / "new.pem"
    command = [program("spot"), "keygen", "--encrypt", f"--out={pem}"]
    made = subprocess.run(command, env=passphrase_file(gateway), capture_output=True, text=True, check=True)
    assert pem.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert stat.S_IMODE(pem.stat().st_mode) == 0o600
    public = openssl(
        machine_lacks, "pkey", "-in", pem, "-pubout", "-passin", "stdin", input=PASSPHRASE.encode() + b"\n"
    )
    assert public.decode() == made.stdout
    for text in (made.stdout, made.stderr):
        assert PASSPHRASE not in text


def test_r69_a_gateway_starts_with_a_passphrase_of_a_descriptor(
    gateway: Gateway, machine_lacks: MachineLacks
) -> None:
    encrypted(gateway, machine_lacks)
    read, write = os.pipe()
    os.write(write, PASSPHRASE.encode() + b"\n")
    os.close(write)
    gateway.start(f"--passphrase-fd={read}", pass_fds=[read])
    os.close(read)
    assert gateway.client().buy("10")["order"]["state"] == "FILLED"


def test_r60_the_kill_signal_while_the_passphrase_is_waited_for_pulls_the_switch(
    gateway: Gateway, machine_lacks: MachineLacks
) -> None:
    """It ends nothing, and the switch is kept at once: whatever becomes of this start, the next finds it."""
    encrypted(gateway, machine_lacks)
    read, write = os.pipe()
    command = [program("spot"), "-c=spot.json", f"--passphrase-fd={read}"]
    gateway.process = Process(command, gateway.folder, pass_fds=[read])
    os.close(read)
    gateway.await_logged("starting")
    gateway.running.popen.send_signal(signal.SIGUSR1)
    switch = gateway.folder / str(gateway.config["db"]) / "KILL"
    eventually(lambda: switch.exists() or gateway.running.popen.poll() is not None, "the switch's file")
    assert gateway.running.popen.poll() is None, "the signal has ended it"
    os.write(write, PASSPHRASE.encode() + b"\n")
    os.close(write)
    gateway.running.await_listening()
    gateway.await_logged("the kill switch is on", by="the signal SIGUSR1")
    with pytest.raises(Refused, match="the kill switch is on"):
        gateway.client().buy("10")


@pytest.mark.parametrize(
    ("text", "mode", "code", "words"),
    [
        ("another", 0o600, 77, "wrong passphrase"),
        ("", 0o600, 78, "it is empty"),
        (PASSPHRASE, 0o640, 77, "its passphrase in"),
    ],
)
def test_r69_a_passphrase_that_does_not_do_is_named(
    gateway: Gateway, machine_lacks: MachineLacks, text: str, mode: int, code: int, words: str
) -> None:
    encrypted(gateway, machine_lacks)
    done = checked(gateway, env=passphrase_file(gateway, text, mode))
    assert done.returncode == code, done.stdout
    assert words in done.stdout and PASSPHRASE not in done.stdout + done.stderr


def test_r68_a_credential_of_the_service_may_show_the_right_of_a_group(
    gateway: Gateway, machine_lacks: MachineLacks
) -> None:
    """As systemd shows one to a unit with `User=`: mode 0440, below the folder it names."""
    encrypted(gateway, machine_lacks)
    env = passphrase_file(gateway, mode=0o440)
    assert checked(gateway, env=env).returncode == 77
    elsewhere = gateway.folder / "credentials"
    elsewhere.mkdir(mode=0o500)
    assert checked(gateway, env=env | {"CREDENTIALS_DIRECTORY": str(elsewhere)}).returncode == 77
    done = checked(gateway, env=env | {"CREDENTIALS_DIRECTORY": str(gateway.folder)})
    assert done.returncode == 0, done.stdout + done.stderr
    (gateway.folder / "passphrase").chmod(0o444)
    done = checked(gateway, env=env | {"CREDENTIALS_DIRECTORY": str(gateway.folder)})
    assert done.returncode == 77 and "its passphrase in" in done.stdout, done.stdout


def test_r69_without_a_passphrase_the_ways_to_give_it_are_named(
    gateway: Gateway, machine_lacks: MachineLacks
) -> None:
    encrypted(gateway, machine_lacks)
    done = checked(gateway)
    assert done.returncode == 78
    for word in ("is encrypted", "--passphrase-fd", "TRADINGSYS_PASSPHRASE_FILE", "terminal"):
        assert word in done.stdout, done.stdout


def test_r69_the_terminal_is_asked_and_does_not_show_it(
    gateway: Gateway, machine_lacks: MachineLacks
) -> None:
    encrypted(gateway, machine_lacks)
    child, terminal = os.forkpty()
    if child == 0:  # the program, with a terminal of its own
        os.chdir(gateway.folder)
        os.execv(program("spot"), ["spot", "check", "-c=spot.json"])
    shown = b""
    try:
        while b"passphrase of" not in shown or b": " not in shown.partition(b"passphrase of")[2]:
            shown += os.read(terminal, 4096)
        os.write(terminal, PASSPHRASE.encode() + b"\n")
        while data := os.read(terminal, 4096):
            shown += data
    except OSError:  # the end of a terminal
        pass
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, shown
    assert b"ok   logon" in shown and PASSPHRASE.encode() not in shown


def test_r70_a_process_with_a_key_leaves_no_core_dump(gateway: Gateway) -> None:
    """Whatever the limit it was started with; and its memory is nobody else's to read."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    gateway.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)))
    process = Path(f"/proc/{gateway.running.popen.pid}")
    limits = (process / "limits").read_text()
    assert re.search(r"Max core file size\s+0\s+0\s", limits), limits
    # What may not be dumped belongs to root, whoever runs it.
    assert (process / "mem").stat().st_uid == 0


def test_r68_a_folder_that_anybody_may_write_is_refused(gateway: Gateway) -> None:
    gateway.folder.chmod(0o777)
    done = checked(gateway)
    assert done.returncode == 77 and "chmod o-w" in done.stdout
    gateway.folder.chmod(0o700)
    assert checked(gateway).returncode == 0


def test_the_shut_key_is_told_in_the_log_of_a_start(gateway: Gateway, machine_lacks: MachineLacks) -> None:
    encrypted(gateway, machine_lacks)
    done = subprocess.run(
        [program("spot"), "-c=spot.json"], cwd=gateway.folder, env=passphrase_file(gateway, "wrong"),
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 77 and "wrong passphrase" in done.stderr
    log = gateway.folder / "log"
    eventually(lambda: any("wrong passphrase" in file.read_text() for file in log.glob("*")), "the log")
