"""Starting and ending: files, addresses, keys and signals, each with its exit code and words."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest
from support.log import told
from support.processes import (
    APIKEY,
    PATIENCE,
    Client,
    Exchange,
    Gateway,
    Refused,
    eventually,
    free_port,
    keygen,
    open_socket,
    program,
    trading,
)
from websockets.exceptions import ConnectionClosed


def refused(gateway: Gateway, code: int, *words: str) -> str:
    """Starts it in vain; what it said."""
    done = gateway.run("-c=spot.json")
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("spot: ")
    for word in words:
        assert word in last, last
    return last


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"apikey": None}, ['"apikey" is missing']),
        ({"api_key": "x"}, ["unknown key", '"apikey"']),
        ({"recv_window_ms": "5000"}, ['"recv_window_ms" must be a whole number']),
        ({"margin": True}, ['"endpoints.rest" is missing', '"margin": true']),
        ({"side_effect": "MARGIN_BUY"}, ['"side_effect" is of the cross-margin account alone']),
        ({"local": "ws://0.0.0.0:8111"}, ["not a loopback address"]),
        ({"endpoints": {"ws_api": "ws://127.0.0.1:1"}}, ['"endpoints.streams" is missing']),
        ({"ca_file": "nothing.pem"}, ['"ca_file"', "nothing.pem"]),
        ({"allowed_origins": ["https://desk.example/"]}, ["is no origin", "scheme://host:port"]),
    ],
)
def test_a_wrong_configuration_is_refused_by_name(
    gateway: Gateway, change: dict[str, object], words: list[str]
) -> None:
    merged = gateway.config | change
    gateway.config = {name: value for name, value in merged.items() if value is not None}
    gateway.write_config()
    refused(gateway, 78, "spot.json" if "ca_file" not in change else "ca_file", *words)


def test_a_missing_or_broken_configuration_is_refused(gateway: Gateway) -> None:
    done = gateway.run("-c=other.json")
    assert done.returncode == 78 and "other.json: cannot be read" in done.stderr
    (gateway.folder / "spot.json").write_text('{\n  "apikey": "x",\n  oops\n}')
    refused(gateway, 78, "line 3 column 3")


def test_row_004_26_an_unknown_level_lists_the_levels(gateway: Gateway) -> None:
    done = gateway.run("-c=spot.json", "-l=bogus")
    assert done.returncode == 2 and "error, warn, info, debug" in done.stderr


def test_row_004_22_the_shipped_key_is_named_as_a_placeholder(gateway: Gateway) -> None:
    shipped = Path(__file__).parents[2] / "private_key.pem"
    (gateway.folder / "private_key.pem").write_bytes(shipped.read_bytes())
    refused(gateway, 78, "private_key.pem", "placeholder", "spot keygen")


def openssl(machine_lacks: Callable[[str], NoReturn], *arguments: str) -> bytes:
    """What OpenSSL makes of it."""
    try:
        return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout
    except FileNotFoundError:
        machine_lacks("no openssl")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"), "is an RSA key"),
        (("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"), "a key of algorithm"),
        (("genpkey", "-algorithm", "RSA", "-aes256", "-pass", "pass:x"), "is encrypted"),
        (("genpkey", "-algorithm", "ED448"), "a key of algorithm 1.3.101.113"),
    ],
)
def test_row_004_29_a_key_of_another_kind_is_refused(
    gateway: Gateway, machine_lacks: Callable[[str], NoReturn], arguments: tuple[str, ...], words: str
) -> None:
    pem = gateway.folder / "private_key.pem"
    pem.write_bytes(openssl(machine_lacks, *arguments))
    pem.chmod(0o600)
    refused(gateway, 78, "private_key.pem", words)


def test_row_004_29_a_key_made_by_openssl_is_taken(
    gateway: Gateway, machine_lacks: Callable[[str], NoReturn]
) -> None:
    pem = gateway.folder / "private_key.pem"
    pem.write_bytes(openssl(machine_lacks, "genpkey", "-algorithm", "ED25519"))
    pem.chmod(0o600)
    # It is a good key, only not the one registered at the exchange.
    done = gateway.run("check", "-c=spot.json")
    assert "ok   key" in done.stdout and "fail logon" in done.stdout


def test_r68_a_key_that_others_can_read_is_refused(gateway: Gateway) -> None:
    (gateway.folder / "private_key.pem").chmod(0o640)
    refused(gateway, 77, "mode 640", "chmod 600")


def test_a_missing_key_file_is_refused(gateway: Gateway) -> None:
    (gateway.folder / "private_key.pem").unlink()
    refused(gateway, 78, "private_key.pem", "keygen")


def test_row_004_24_the_key_is_found_beside_the_configuration(gateway: Gateway, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [program("spot"), "check", f"-c={gateway.folder / 'spot.json'}"]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout
    gateway.config["pem"] = str(gateway.folder / "private_key.pem")
    gateway.write_config()
    assert subprocess.run(command, cwd=elsewhere, capture_output=True, timeout=PATIENCE).returncode == 0


def test_row_004_31_a_port_in_use_is_named(gateway: Gateway, tmp_path: Path) -> None:
    gateway.config["local"] = f"ws://localhost:{free_port()}"
    gateway.write_config()
    gateway.start()
    second = tmp_path / "second"
    second.mkdir()
    keygen(second)
    other = Gateway(second, gateway.config["endpoints"], local=gateway.config["local"])
    refused(other, 69, gateway.url.rsplit(":", 1)[1], "in use", '"local"')


def test_a_folder_in_use_names_the_gateway_that_holds_it(gateway: Gateway) -> None:
    gateway.start()
    refused(gateway, 78, str(gateway.folder / "db"), f"(pid {gateway.running.popen.pid})", '"db"')
    done = gateway.run("verify", "-c=spot.json")
    assert done.returncode == 78 and f"(pid {gateway.running.popen.pid})" in done.stderr


def test_both_address_families_are_served(gateway: Gateway, machine_lacks: Callable[[str], NoReturn]) -> None:
    gateway.start()
    port = gateway.url.rsplit(":", 1)[1]
    for host in ("127.0.0.1", "localhost", "[::1]"):
        try:
            with ExitStack() as stack:
                open_socket(f"ws://{host}:{port}", stack)
        except OSError:
            if host != "[::1]":
                raise
            machine_lacks("no IPv6 loopback")


def test_what_a_start_leaves_is_private_and_the_token_is_new_each_time(gateway: Gateway) -> None:
    tokens = set()
    for _ in range(2):
        gateway.start()
        assert re.fullmatch("[0-9a-f]{64}", gateway.token)
        tokens.add(gateway.token)
        eventually(lambda: (gateway.folder / "db" / "pos.db").exists(), "pos.db")
        for name in ("token", "db/pos.db", "db/journal.db", "db/journal.db-wal", "db/gateway.lock"):
            assert stat.S_IMODE((gateway.folder / name).stat().st_mode) == 0o600, name
        assert gateway.running.end() == 143
        assert not (gateway.folder / "token").exists()
    assert len(tokens) == 2


@pytest.mark.parametrize(("variable", "folder"), [("XDG_RUNTIME_DIR", "tradingsys"), ("HOME", ".tradingsys")])
def test_the_token_is_where_the_sdk_looks_for_it(gateway: Gateway, variable: str, folder: str) -> None:
    del gateway.config["token_file"]
    gateway.write_config()
    home = gateway.folder / "home"
    home.mkdir()
    env = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_RUNTIME_DIR")}
    gateway.start(env=env | {variable: str(home)})
    port = gateway.url.rsplit(":", 1)[1]
    token = home / folder / f"{port}.token"
    assert re.fullmatch("[0-9a-f]{64}", token.read_text())
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"7": "token"}, ["the door and session 7 have", "token and", "token; whoever"]),
        (
            {"7": "own", "8": "../" + "{here}/own"},
            ["session 7 and session 8 have", "own and", "own; whoever"],
        ),
        ({"7": "own", "9": "copy"}, ["session 7 and session 9 have", "own and", "copy; whoever"]),
    ],
    ids=["the door's", "by another path", "copied"],
)
def test_r73_a_token_that_two_share_is_refused_with_both_named(
    gateway: Gateway, files: dict[str, str], words: list[str]
) -> None:
    """Nothing is written over, and the check says the same."""
    text = "a" * 64
    for name in ("own", "copy"):
        (gateway.folder / name).touch(0o600)
        (gateway.folder / name).write_text(text)
    named = {session: file.format(here=gateway.folder.name) for session, file in files.items()}
    gateway.config["session_tokens"] = named
    gateway.write_config()
    refused(gateway, 78, *words)
    assert (gateway.folder / "own").read_text() == text
    done = gateway.run("check", "-c=spot.json")
    assert done.returncode == 78, done.stdout
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("fail tokens: "))
    assert words[0] in line and text not in done.stdout + done.stderr


def test_a_reader_of_the_output_that_has_gone_ends_nothing(gateway: Gateway) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [program("spot"), "-c=spot.json"]
    with subprocess.Popen(command, cwd=gateway.folder, stdout=write, stderr=write) as process:
        os.close(write)
        log = gateway.folder / "log"
        eventually(
            lambda: any(told(path.read_text(), "state", state="Ready") for path in log.glob("*.log")),
            "trading",
        )
        process.terminate()
        assert process.wait(PATIENCE) == 143


def test_row_004_33_59_without_db_and_log_dir_files_appear_in_the_working_directory(gateway: Gateway) -> None:
    del gateway.config["db"], gateway.config["log_dir"]
    gateway.write_config()
    gateway.start()
    eventually(lambda: (gateway.folder / "pos.db").exists(), "pos.db")
    logs = [path.name for path in (gateway.folder / "log").iterdir()]
    # Two, if a day ended meanwhile.
    assert logs and all(re.fullmatch(r"spot_\d{8}\.log", name) for name in logs)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order(gateway: Gateway, number: int, code: int) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    assert gateway.running.end(number) == code
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            client.receive()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
    assert gateway.sql("SELECT kind FROM record ORDER BY seq DESC LIMIT 1", "journal.db") == [("end",)]
    assert gateway.position() == client_position(gateway)


def client_position(gateway: Gateway) -> str:
    gateway.start()
    (row,) = gateway.client().call("positions")["positions"]
    return str(row["net"])


def test_a_key_the_exchange_refuses_ends_it_with_77(gateway: Gateway) -> None:
    (gateway.folder / "private_key.pem").unlink()
    keygen(gateway.folder)
    gateway.start()
    assert gateway.running.popen.wait(PATIENCE) == 77
    last = gateway.running.log().splitlines()[-1]
    assert "the exchange refused the key" in last and "IP restriction" in last and "may trade" in last


def test_an_exchange_that_cannot_be_reached_is_tried_again_and_again(tmp_path: Path) -> None:
    port = free_port()
    with trading(tmp_path, port=port) as (exchange, gateway):
        public = (gateway.folder / "public_key.pem").read_text()
        exchange.kill()
        gateway.start()
        client = Client(gateway, 1)
        assert client.seat["state"]["state"] == "down"
        again = Exchange(gateway.folder, public, port=port)
        try:
            client.until(lambda frame: frame.get("event") == "state" and frame["state"] == "ready")
            assert client.buy("10")["order"]["state"] == "FILLED"
        finally:
            again.kill()


def test_i20_no_secret_in_any_output(gateway: Gateway) -> None:
    gateway.start("-l=debug")
    token, pem = gateway.token, (gateway.folder / "private_key.pem").read_text()
    client = gateway.client()
    client.buy("10")
    with pytest.raises(Refused):
        Client(gateway, 2, proof="00" * 32)
    gateway.running.end()
    done = gateway.run("check", "-c=spot.json")
    assert done.returncode == 0, done.stdout
    written = [done.stdout, done.stderr]
    written += [path.read_text(errors="replace") for path in (gateway.folder / "log").iterdir()]
    written += [gateway.running.log(), gateway.running.out.read_text()]
    written += [path.read_bytes().decode(errors="replace") for path in (gateway.folder / "db").iterdir()]
    key = "".join(pem.splitlines()[1:-1])
    for text in written:
        for secret in (APIKEY, token, key, json.dumps(key)):
            assert secret not in text
        assert not re.search(r"signature[\"=: ]+[A-Za-z0-9+/]{20}", text)


def test_a_start_with_a_key_the_exchange_refuses_binds_no_journal(gateway: Gateway) -> None:
    gateway.config["apikey"] = "a-mistyped-key"
    gateway.write_config()
    assert gateway.run("-c=spot.json").returncode == 77
    gateway.config["apikey"] = APIKEY
    gateway.write_config()
    checked = gateway.run("check", "-c=spot.json")
    assert checked.returncode == 0, checked.stdout
    gateway.start()
    assert gateway.client().buy("10")["order"]["state"] == "FILLED"


def test_the_journal_of_another_account_is_refused_with_both_ways_out(gateway: Gateway) -> None:
    gateway.start()
    gateway.client()
    gateway.running.end()
    ((body,),) = gateway.sql("SELECT body FROM record WHERE kind = 'start' LIMIT 1", "journal.db")
    install = json.loads(body)["install"]
    gateway.config["apikey"] = "another-accounts-key"
    gateway.write_config()
    words = f'written under install "{install}"'
    refused(gateway, 78, words, 'set another "db"', f'set "install": "{install}"')
    checked = gateway.run("check", "-c=spot.json")
    assert "fail database: " in checked.stdout and words in checked.stdout
    gateway.config["apikey"] = APIKEY
    gateway.write_config()
    gateway.start()
