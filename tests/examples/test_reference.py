"""The programs of the reference document, word for word: its address, port 8111, included."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.system import ROOT, System, interrupt, wait_for

PORT = 8111
DEMO = ROOT / "examples" / "demo.py"

SESSION = """\
eng = Engine()
session = eng.make_session(
    addr="ws://localhost:8111", session_id=1, name="test", trading=True
)
sub = session.subscribe("btcusdt","depth")
"""

PRINTER = """\
from pyalgo import *

if __name__ == "__main__":
    # The only argument is interval
    # Because the underlying WebSocket is non-blocking 
    # In order to avoid wasted CPU cycles, an appropriate sleep interval is required. 
    # You can also set it to 0, and it will become a busy loop.
    eng = Engine(0.0001)
    # create session
    session = eng.make_session(
        addr="ws://localhost:8111", session_id=1, name="test", trading=True
    )   
    # subscribe depth, you can also subscribe kline by session.subscribe("dogeusdt","kline:1m)
    sub = session.subscribe("dogeusdt", "depth")
    # set callback
    # when you recv depth, it will print data
    sub.on_data = lambda x:print(x)
    eng.start()
"""  # noqa: W291 (the blanks at the ends of lines are the document's)


@pytest.fixture
def at_8111(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine_lacks: Callable[[str], Any]
) -> Iterator[System]:
    """A system whose gateway is where the reference says, its token where the gateway puts it by itself."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            machine_lacks(f"port {PORT} is taken")
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run))
    monkeypatch.delenv("TRADINGSYS_TOKEN_FILE", raising=False)
    # The market stands still until a test moves it.
    system = System(tmp_path, ["--ticks-per-second", "0"], local=f"ws://localhost:{PORT}", token_file=None)
    yield system
    system.stop()


def test_row_004_17_the_session_snippet_runs_as_it_is_written(at_8111: System) -> None:
    end = 'assert sub.symbol == "btcusdt" and session.session_id == 1\neng.after(0.2, eng.stop)\neng.run()\n'
    program = f"from pyalgo import *\n{SESSION}{end}"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=at_8111.environment())


def test_row_004_40_the_printer_prints_depth(at_8111: System) -> None:
    file = at_8111.folder / "printer.py"
    file.write_text(PRINTER)
    program = at_8111.strategy(file)
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line.startswith("Depth(dogeusdt, 20"), line
    assert ", bid 0." in line
    assert "20+20 levels" in line
    code, _ = interrupt(program)
    assert code == 0


def test_row_004_49_the_demo_sends_one_order_and_cancels_it(at_8111: System) -> None:
    program = at_8111.strategy(DEMO)
    (order,) = wait_for("the demo's order", lambda: at_8111.orders("all"))
    assert (order["side"], order["type"], order["timeInForce"]) == ("BUY", "LIMIT", "GTC")
    assert float(order["origQty"]) == 10.0
    # Any depth after the first makes the demo cancel; its price was the best bid.
    at_8111.take("DOGEUSDT", "BUY", "1", "0.1")
    ended = wait_for("its end", lambda: [o for o in at_8111.orders("all") if o["status"] == "CANCELED"])
    assert len(ended) == 1
    code, said = interrupt(program)
    assert (code, said) == (0, "")
    assert len(at_8111.orders("all")) == 1
    assert at_8111.orders() == []


def test_row_004_67_killed_and_restarted_ten_times_there_is_one_order(at_8111: System) -> None:
    """The demo adopts its open order each time, and cancels it only when the market leaves it behind."""
    lines = DEMO.read_text().splitlines(keepends=True)
    # `fin` makes the demo cancel at its second depth; without that line its order stays open.
    patient = at_8111.folder / "patient_demo.py"
    patient.write_text("".join(line for line in lines if "self.fin = True" not in line))
    for round_ in range(10):
        program = at_8111.strategy(patient)
        wait_for("the order", lambda: at_8111.orders("all"))
        wait_for("the login", lambda n=round_: logins(at_8111) == n + 1)
        program.kill()
        program.communicate()
        wait_for("the end of the session", lambda n=round_: logouts(at_8111) == n + 1)
    assert len(at_8111.orders("all")) == 1
    assert len(at_8111.orders()) == 1
    program = at_8111.strategy(patient)
    at_8111.take("DOGEUSDT", "BUY", "1000", str(Decimal(at_8111.orders()[0]["price"]) + Decimal("0.00001")))
    wait_for("the cancel", lambda: at_8111.orders("all")[0]["status"] == "CANCELED")


def logins(system: System) -> int:
    """How often a session was taken."""
    return system.gateway.running.log().count("session taken")


def logouts(system: System) -> int:
    """How often a session was left."""
    return system.gateway.running.log().count("session left")


def test_the_demo_is_the_documents() -> None:
    """Its SHA-256 is that of the text in the reference document."""
    digest = hashlib.sha256(DEMO.read_bytes()).hexdigest()
    assert digest == "64ba60f1e59b2c16450691e3ccfc875a176bd5c493577c3b9fcde397cd3edf40"
