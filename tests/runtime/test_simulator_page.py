"""docs/simulator.md, step by step: its files and commands as they stand on the page, only at free ports."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

import pytest
from support.processes import PATIENCE, eventually, free_port, program
from support.system import ROOT

PAGE = (ROOT / "docs" / "simulator.md").read_text()


class Steps:
    """The page with its ports replaced, typed into a shell in a checkout that has been built."""

    def __init__(self, checkout: Path) -> None:
        ports = {port: str(free_port()) for port in ("9080", "8111", "8112", "8113")}
        self.text = re.sub("|".join(ports), lambda found: ports[found[0]], PAGE)
        self.checkout = checkout
        self.folder = checkout / "try"
        (checkout / "target").mkdir()
        (checkout / "target" / "debug").symlink_to(program("spot").parent)
        (checkout / ".dev").mkdir()
        (checkout / ".dev" / "venv").symlink_to(sys.prefix)
        self.env: Mapping[str, str] = os.environ | {"XDG_RUNTIME_DIR": str(checkout)}

    def block(self, kind: str) -> str:
        """The one block of that kind."""
        (found,) = re.findall(rf"```{re.escape(kind)}\n(.*?)```", self.text, re.DOTALL)
        return str(found)

    def write(self, kind: str) -> None:
        """Writes the file a block is."""
        (self.folder / kind.split()[1]).write_text(self.block(kind))

    def typed(self, command: str, folder: Path) -> str:
        """What the command prints."""
        done = subprocess.run(
            ["sh", "-ec", command], cwd=folder, env=self.env, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def running(self, command: str) -> Iterator[None]:
        """A program in a terminal of its own, from when it listens until Ctrl-C."""
        log = self.folder / "terminal"
        with log.open("w") as out:
            started = subprocess.Popen(
                ["sh", "-c", f"exec {command}"], cwd=self.folder, env=self.env, stdout=out, stderr=out
            )
        try:
            eventually(lambda: '{"listening"' in log.read_text(), f"{command} listens")
            yield
        finally:
            started.send_signal(signal.SIGINT)
            started.wait(PATIENCE)


@pytest.mark.parametrize("market", ["spot", "usdt"])
def test_the_steps_of_the_page_lead_to_a_position(
    tmp_path: Path, market: str, machine_lacks: Callable[[str], NoReturn]
) -> None:
    if shutil.which("sqlite3") is None:
        machine_lacks("no sqlite3")
    steps = Steps(tmp_path)
    steps.typed(steps.block("sh key"), tmp_path)
    for kind in ("json spot.json", "json usdt.json", "python first.py"):
        steps.write(kind)
    gateway, look = steps.block("sh gateway"), steps.block("sh look")
    if market == "usdt":
        (gateway,) = re.findall(r"`(\S+/usdt -c=usdt.json -l=info)`", steps.text)
        look = look.replace("spot_db", "usdt_db")
        spot_at, usdt_at = (
            re.findall(r'"local": "(\S+?)"', steps.block(f"json {name}.json"))[0] for name in ("spot", "usdt")
        )
        strategy = steps.folder / "first.py"
        strategy.write_text(strategy.read_text().replace(spot_at, usdt_at))
    with ExitStack() as stack:
        stack.enter_context(steps.running(steps.block("sh exchange")))
        stack.enter_context(steps.running(gateway))
        said = steps.typed(steps.block("sh strategy"), steps.folder)
        assert "FILLED 50.0" in said, said
        # The gateway may be writing the very moment: then the shell says so, and the user asks again.
        asked = f"{look.strip()} || true"
        shown = eventually(lambda: steps.typed(asked, steps.folder), "the position in pos.db")
        assert shown.startswith("1|dogeusdt|")
    files = {"spot": "trades.jsonl", "usdt": "futures_trades.jsonl"}
    assert '"account":"me"' in (steps.folder / "sim-data" / files[market]).read_text()


def test_the_steps_for_cross_margin_sell_short_and_close_it_completely(
    tmp_path: Path, machine_lacks: Callable[[str], NoReturn]
) -> None:
    for tool in ("sqlite3", "curl"):
        if shutil.which(tool) is None:
            machine_lacks(f"no {tool}")
    steps = Steps(tmp_path)
    steps.typed(steps.block("sh key"), tmp_path)
    for kind in ("json margin.json", "python short.py"):
        steps.write(kind)
    with ExitStack() as stack:
        stack.enter_context(steps.running(steps.block("sh exchange")))
        steps.typed(steps.block("sh fund"), steps.folder)
        stack.enter_context(steps.running(steps.block("sh margin gateway")))
        said = steps.typed(steps.block("sh short"), steps.folder)
        assert "SELL FILLED 50.0" in said and "BUY FILLED 51.0" in said, said
        asked = f"{steps.block('sh owed').strip()} || true"

        def rows() -> dict[str, Decimal]:
            lines = (line.split("|") for line in steps.typed(asked, steps.folder).splitlines())
            return {asset: Decimal(amount) for _, asset, amount in lines}

        held = eventually(lambda: (found := rows()) and found["DOGE"] >= 0 and found, "the short closed")
        assert held["DOGE"] < 1, "less than a lot is left over"
        (rest,) = re.findall(r"http://127\.0\.0\.1:\d+", steps.block("sh fund"))
        with urllib.request.urlopen(f"{rest}/control/state") as answer:
            (account,) = json.load(answer)["accounts"]
        owed = [loan for loan in account["margin"]["loans"] if loan["asset"] == "DOGE"]
        assert all(Decimal(loan["borrowed"]) + Decimal(loan["interest"]) == 0 for loan in owed), owed


def test_the_strategy_is_rehearsed_in_bad_weather_twice_the_same(tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    steps.typed(steps.block("sh key"), tmp_path)
    for kind in ("json spot.json", "python first.py", "json weather.json"):
        steps.write(kind)
    for kind in ("sh storm", "sh again"):
        with ExitStack() as stack:
            stack.enter_context(steps.running(steps.block(kind)))
            stack.enter_context(steps.running(steps.block("sh gateway")))
            said = steps.typed(steps.block("sh strategy"), steps.folder)
            assert "FILLED 50.0" in said, said

    def strikes(file: str) -> list[tuple[str, str, int]]:
        lines = [json.loads(line) for line in (steps.folder / file).read_text().splitlines()]
        # How often the gateway asks, and how long a run takes, is the machine's.
        kinds = ("reply.drop", "event.duplicate")
        return sorted((line["fault"], line["of"], line["n"]) for line in lines if line["fault"] in kinds)

    expected = [
        ("event.duplicate", "event spot api me executionReport TRADE", 1),
        ("reply.drop", "reply spot api me order.place", 1),
    ]
    assert strikes("storm.jsonl") == strikes("again.jsonl") == expected
