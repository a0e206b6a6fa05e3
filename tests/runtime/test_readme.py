"""What README.md tells a new user to type, typed."""

from __future__ import annotations

import itertools
import re
import shutil
import stat
import subprocess
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from support.both import ZERO, Both
from support.processes import program
from support.system import ROOT, interrupt, wait_for

import pyalgo


def commands(word: str) -> str:
    """The block of README.md that has the word in it."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (block,) = (block for block in blocks if word in block)
    return str(block)


def test_the_first_key_is_made_as_the_readme_says(tmp_path: Path) -> None:
    for name in ("spot.json", "private_key.pem"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "release").symlink_to(program("spot").parent)
    done = subprocess.run(["sh", "-ec", commands("keygen")], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("-----BEGIN PUBLIC KEY-----")
    key = tmp_path / "live" / "private_key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and "PLACEHOLDER" not in key.read_text()
    # As far as it gets without a registered key: configuration and key are found where the README puts them.
    check = commands("spot check").splitlines()[0]
    config = tmp_path / "live" / "spot.json"
    endpoints = '"endpoints": {"ws_api": "ws://127.0.0.1:1", "streams": "ws://127.0.0.1:1"}'
    config.write_text(config.read_text().rstrip().removesuffix("}") + endpoints + "}")
    done = subprocess.run(["sh", "-ec", check], cwd=tmp_path / "live", capture_output=True, text=True)
    assert "ok   configuration" in done.stdout and "ok   key" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 69, done.stdout


def test_the_margin_configuration_of_the_page_is_taken(tmp_path: Path) -> None:
    """As it stands, and with the addresses the page gives for an exchange of one's own."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    (text,) = re.findall(r"```json margin.json\n(.*?)```", page, re.DOTALL)
    (endpoints,) = re.findall(r'"endpoints": \{[^}]*"margin_stream"[^}]*\}', page)
    subprocess.run(
        [program("spot"), "keygen", f"--out={tmp_path / 'private_key.pem'}"], check=True, capture_output=True
    )
    own = text.rstrip().removesuffix("}") + endpoints.replace("9080", "1") + "}"
    (tmp_path / "margin.json").write_text(own)
    done = subprocess.run(
        [program("spot"), "check", "-c=margin.json"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "ok   configuration" in done.stdout and done.returncode == 69, done.stdout + done.stderr
    assert "margin_stream" not in done.stdout + done.stderr, "nothing is missing"


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    """Both gateways, their tokens where a strategy looks that was told of none."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    parts = Both(tmp_path)
    yield parts
    parts.stop()


def strategy_of(page: str) -> str:
    """The one strategy in Python of a page."""
    (block,) = re.findall(r"^ *```python\n(.*?)^ *```", page, re.DOTALL | re.MULTILINE)
    return textwrap.dedent(block)


@pytest.mark.parametrize("market", ["spot", "usdt"])
def test_first_py_trades(both: Both, market: str) -> None:
    """On futures with another port and nothing else, as the page has it."""
    address = {"spot": both.address, "usdt": both.usdt.url}[market]
    text = strategy_of((ROOT / "README.md").read_text())
    assert "ws://localhost:8111" in text
    (both.folder / "first.py").write_text(text.replace("ws://localhost:8111", address))
    first = both.strategy(both.folder / "first.py")
    assert first.stdout is not None
    lines = first.stdout

    def until(word: str) -> str:
        """What it says, up to the line with the word in it."""
        said = lines.readline()
        while word not in said:
            assert "REJECTED" not in said and first.poll() is None, said + lines.read()
            said += lines.readline()
        return said

    until("NEW")
    gateway = {"spot": both.gateway, "usdt": both.usdt}[market]
    ((price,),) = gateway.sql("SELECT DISTINCT price FROM orders", "journal.db")
    # Down to its bid and up again, as often as it takes a trade there to happen.
    factors = itertools.cycle(Decimal(factor) for factor in ("0.97", "1.01"))
    move = {"spot": both.move, "usdt": both.move_perpetual}[market]

    def filled() -> bool:
        move("DOGEUSDT", str((Decimal(price) * next(factors)).quantize(Decimal("0.00001"))))
        held = both.perpetual("dogeusdt") if market == "usdt" else both.positions().get((1, "dogeusdt"), ZERO)
        return held > 0

    wait_for("its order to be filled", filled)
    # The books have it before the strategy is told: an interrupt now could be the earlier one.
    until("FILLED")
    code, said = interrupt(first)
    assert code == 0, said


def test_the_first_words_on_the_package_print_the_market(both: Both) -> None:
    text = strategy_of((ROOT / "pyalgo" / "README.md").read_text())
    told = re.search(
        r"^    from pyalgo import.*?^    eng\.run\(\)$", pyalgo.__doc__ or "", re.DOTALL | re.MULTILINE
    )
    assert told is not None and textwrap.dedent(told[0]) == text.strip(), "the docstring says the same"
    (both.folder / "words.py").write_text(text.replace("ws://localhost:8111", both.address))
    words = both.strategy(both.folder / "words.py")
    assert words.stdout is not None
    assert "Depth" in words.stdout.readline()
    code, said = interrupt(words)
    assert code == 0, said
