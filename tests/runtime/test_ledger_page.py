"""docs/ledger.md: every statement on it runs, and finds what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from support.processes import Gateway, eventually

PAGE = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()


def statements(file: str) -> list[str]:
    """What the page says to run on that file."""
    blocks = re.findall(rf"```sql {re.escape(file)}\n(.*?)```", PAGE, re.DOTALL)
    assert blocks
    return [text.strip() for block in blocks for text in block.split(";") if text.strip()]


def test_every_statement_of_the_page_runs(gateway: Gateway) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    eventually(gateway.position, "a position in pos.db")
    journal = [gateway.sql(text, "journal.db") for text in statements("journal.db")]
    assert all(journal), "each finds rows"
    for file in ("usdt/pos.db", "usdt/journal.db", "margin/journal.db"):
        for text in statements(file):
            gateway.sql(text, file.split("/")[1])
    gateway.running.end()
    texts = statements("pos.db")
    rows = {
        text.split()[0] + text.split()[1]: gateway.sql(text) for text in texts if text.startswith("SELECT")
    }
    assert all(rows.values()), rows
    for text in texts:
        if not text.startswith("SELECT"):
            gateway.sql(text)
    gateway.start()
    positions = gateway.client().call("positions")["positions"]
    assert [Decimal(row["net"]) for row in positions if row["symbol"] == "dogeusdt"] == [5]
    nets = [Decimal(row["net"]) for row in gateway.client(7).call("positions")["positions"]]
    assert nets == [Decimal("0.5")]
    assert len(gateway.sql("SELECT * FROM adjustment", "journal.db")) == 2


def test_the_python_line_of_the_page_shows_positions(gateway: Gateway) -> None:
    gateway.start()
    gateway.client().buy("10")
    eventually(gateway.position, "a position in pos.db")
    (line,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    script = line.replace("python3", sys.executable).replace("pos.db", str(gateway.folder / "db" / "pos.db"))
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("(1, 'dogeusdt', '9.9")


def test_the_page_names_every_table(gateway: Gateway) -> None:
    gateway.start()
    names = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'"
    eventually(lambda: (gateway.folder / "db" / "pos.db").exists(), "pos.db")
    internal = {"_shadow", "_meta", "meta"}
    for file in ("pos.db", "journal.db"):
        for (name,) in gateway.sql(names, file):
            assert name in internal or f"`{name}`" in PAGE or f" {name}" in PAGE, name
