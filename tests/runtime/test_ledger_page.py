"""docs/ledger.md: every statement on it runs, and finds what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path

from support.processes import Client, Gateway, eventually

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
    for file in ("usdt/pos.db", "usdt/journal.db", "margin/pos.db", "margin/journal.db"):
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


def shell(gateway: Gateway, script: str) -> str:
    """What the lines print where the gateway keeps its files."""
    bin_folder = gateway.folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    if not (bin_folder / "python3").exists():
        (bin_folder / "python3").symlink_to(sys.executable)
    env = os.environ | {"PATH": f"{bin_folder}:{os.environ['PATH']}"}
    folder = gateway.folder / "db"
    done = subprocess.run(
        ["sh", "-ec", script], cwd=folder, env=env, capture_output=True, text=True, check=True
    )
    return done.stdout


def lines(kind: str) -> str:
    """The one block of the page of that kind, without the indentation of a list."""
    (block,) = re.findall(rf"( *)```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return textwrap.dedent(block[0] + block[1])


def test_the_python_lines_of_the_page_show_and_edit_positions(gateway: Gateway) -> None:
    gateway.start()
    gateway.client().buy("10")
    eventually(gateway.position, "a position in pos.db")
    assert shell(gateway, lines("sh")).startswith("(1, 'dogeusdt', '9.9")
    gateway.running.end()
    assert shell(gateway, lines("sh edit")) == "('5',)\n"
    assert gateway.position() == "5"
    gateway.start()
    assert net(gateway) == 5


def test_the_lines_of_the_readme_edit_a_position(gateway: Gateway) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    edits = [block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "UPDATE position" in block]
    assert len(edits) == 2 and edits[0].strip().startswith("sqlite3 ")
    for edit in edits if shutil.which("sqlite3") else edits[1:]:
        gateway.start()
        gateway.client().buy("10")
        eventually(lambda: gateway.position() not in (None, "0"), "a position in pos.db")
        gateway.running.end()
        shell(gateway, edit)
        assert gateway.position() == "0"
        gateway.start()
        assert net(gateway) == 0
        gateway.running.end()


def net(gateway: Gateway) -> Decimal:
    """What the gateway says session 1 holds."""
    return net_of(gateway.client())


def lose_the_journal(gateway: Gateway) -> None:
    """A stopped gateway's journal is deleted."""
    for path in (gateway.folder / "db").glob("journal.db*"):
        path.unlink()


def test_without_a_journal_positions_come_back_from_the_exchange(gateway: Gateway) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    order = client.order("ethusdt", "BUY", type="LIMIT", qty="0.01", price="2500", tif="GTC")
    client.until(lambda frame: frame.get("event") == "order" and frame["order"]["state"] == "NEW")
    held = net_of(client)
    eventually(lambda: Decimal(gateway.position() or 0) == held, "the position in pos.db")
    rows = gateway.sql("SELECT session_id, symbol, qty, avg_price FROM position")
    profit = gateway.sql("SELECT * FROM _profit")
    fees = gateway.sql("SELECT * FROM _fee")
    gateway.running.end()
    lose_the_journal(gateway)
    gateway.start()
    (told,) = gateway.await_logged("journal_lost")
    # Until the past is read, all may have to log in anew, for ids above those that were found.
    gateway.await_logged("position found again at the exchange")
    client = gateway.client()
    assert told.level == "ERROR" and "A lost journal" in told.fields["advice"]
    eventually(lambda: net_of(client) == held, f"the session holds {held}")
    eventually(
        lambda: [row["order_id"] for row in client.call("orders")["orders"]] == [order], "its open order"
    )
    eventually(
        lambda: gateway.sql("SELECT session_id, symbol, qty, avg_price FROM position") == rows, "the rows"
    )
    eventually(lambda: gateway.sql("SELECT * FROM _profit") == profit, "the profit")
    eventually(lambda: gateway.sql("SELECT * FROM _fee") == fees, "the fees")
    eventually(lambda: doge(gateway, "external") == 0, "external has what it had")
    eventually(lambda: doge(gateway, "unattributed") == 0, "everything is explained")
    assert not gateway.logged("position differs from what the lost journal's pos.db showed")


def test_an_edit_only_the_lost_journal_knew_is_reported_with_its_statement(gateway: Gateway) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    client.close()
    gateway.running.end()
    gateway.sql("UPDATE position SET qty = 55 WHERE symbol = 'dogeusdt'")
    gateway.start()
    assert net(gateway) == 55
    eventually(lambda: gateway.position() == "55", "the accepted edit in pos.db")
    gateway.running.end()
    lose_the_journal(gateway)
    gateway.start()
    eventually(
        lambda: gateway.logged("position differs from what the lost journal's pos.db showed"),
        "the comparison",
    )
    assert net(gateway) != 55
    gateway.running.end()
    (line,) = gateway.logged("position differs from what the lost journal's pos.db showed")
    (statement,) = re.findall(r"INSERT OR REPLACE INTO[^;]*;", line.text)
    gateway.sql(statement)
    gateway.start()
    assert net(gateway) == 55


def net_of(client: Client) -> Decimal:
    """What the gateway says the client's session holds."""
    rows = client.call("positions")["positions"]
    return sum((Decimal(row["net"]) for row in rows if row["symbol"] == "dogeusdt"), Decimal(0))


def doge(gateway: Gateway, owner: str) -> Decimal:
    """What the books say is the owner's, less what the account began with, which is external's."""
    rows = gateway.sql(f"SELECT amount FROM _asset WHERE asset = 'DOGE' AND owner = '{owner}'")
    return sum((Decimal(amount) for (amount,) in rows), Decimal(0)) - (200_000 if owner == "external" else 0)


def test_a_copy_of_the_journal_brings_positions_back_as_the_page_says(gateway: Gateway) -> None:
    gateway.start()
    client = gateway.client()
    client.buy("10")
    folder = gateway.folder / "db"
    gateway.sql(f"VACUUM INTO '{gateway.folder / 'copy.db'}'", "journal.db")
    client.buy("20")
    held = net_of(client)
    gateway.running.end()
    lose_the_journal(gateway)
    gateway.start()
    gateway.client()
    gateway.running.end()
    lose_the_journal(gateway)
    (folder / "pos.db").unlink()
    (gateway.folder / "copy.db").rename(folder / "journal.db")
    gateway.start()
    client = gateway.client()
    eventually(lambda: net_of(client) == held, f"the session holds {held}")


def test_the_page_names_every_table(gateway: Gateway) -> None:
    gateway.start()
    names = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'"
    eventually(lambda: (gateway.folder / "db" / "pos.db").exists(), "pos.db")
    internal = {"_shadow", "_meta", "meta"}
    for file in ("pos.db", "journal.db"):
        for (name,) in gateway.sql(names, file):
            assert name in internal or f"`{name}`" in PAGE or f" {name}" in PAGE, name
