"""./dev demo: several strategies trade several symbols through the real gateway on the simulated exchange.

In the middle a strategy is killed and started again, then the gateway. At the end the gateway's books are
compared with the exchange's own files, and the exit code says whether they agree.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from demolib import books
from demolib.options import parse
from demolib.processes import Process, ProcessError, free_port, listens, wait_until
from demolib.view import View

STRATEGIES = Path(__file__).resolve().parent / "demolib" / "strategies"
ACCOUNT = "demo"
OPENING = {"USDT": "100000", "BTC": "1", "ETH": "20", "BNB": "50", "SOL": "100", "DOGE": "100000"}
# Session, name, file: two strategies share one symbol, each with a position of its own.
TEAM = ((1, "maker", "maker.py"), (2, "seller", "seller.py"), (3, "momentum", "momentum.py"))
NAMES = {session: name for session, name, _ in TEAM}
MARK = "made by ./dev demo"
START_TIMEOUT_S = 20
END_TIMEOUT_S = 20
LOOK_EVERY_S = 0.25


class Demo:
    """All processes and the folder they live in."""

    def __init__(self, folder: Path, seed: int, view: View) -> None:
        self.folder = folder
        self.view = view
        self.exchange_files = folder / "exchange"
        self.gateway_files = folder / "gateway"
        binaries = Path(os.environ["TRADINGSYS_BIN_DIR"])
        self.rest = ""
        self.exchange_port = 0
        self.port = free_port()
        self.address = f"ws://localhost:{self.port}"
        # Here the gateway leaves the token of its door, and the strategies find it.
        env = os.environ | {"XDG_RUNTIME_DIR": str(folder / "run"), "PYTHONUNBUFFERED": "1"}
        self.keygen: list[str | Path] = [binaries / "spot", "keygen", "--out", folder / "private_key.pem"]
        self.exchange = Process(
            "exchange",
            [
                *(binaries / "binance-sim", "--port", "0", "--seed", str(seed), "--ticks-per-second", "20"),
                *("--accounts", folder / "accounts.json", "--data-dir", self.exchange_files),
            ],
            env,
            folder,
        )
        self.gateway = Process("gateway", [binaries / "spot", "-c=spot.json", "-l=info"], env, folder)
        self.team = {
            session: Process(name, self.command(file, str(session)), env, folder)
            for session, name, file in TEAM
        }
        self.settle = Process("settle", self.command("settle.py", *map(str, NAMES)), env, folder)

    def command(self, file: str, *arguments: str) -> list[str | Path]:
        """A strategy's command line."""
        return [sys.executable, STRATEGIES / file, self.address, *arguments]

    def prepare(self) -> None:
        """A new key, an account with that key at the exchange, and the exchange itself."""
        for place in (self.folder / "run", self.exchange_files, self.gateway_files):
            place.mkdir(mode=0o700)
        public = subprocess.run(self.keygen, capture_output=True, text=True, check=True).stdout
        apikey = secrets.token_hex(32)
        account = {"name": ACCOUNT, "apikey": apikey, "public_key_pem": public, "balances": OPENING}
        (self.folder / "accounts.json").write_text(json.dumps([account], indent=2), encoding="utf-8")
        self.exchange.start(read_output=True)
        addresses = self.exchange.first_line(START_TIMEOUT_S)
        self.rest = addresses["rest"]
        self.exchange_port = int(addresses["listening"].rsplit(":", 1)[1])
        self.view.event(f"exchange listens on {addresses['listening']}, {len(OPENING)} assets in the account")
        config = {
            "apikey": apikey,
            "pem": "private_key.pem",
            "margin": False,
            "local": self.address,
            "endpoints": {"ws_api": addresses["ws_api"], "streams": addresses["streams"]},
            "db": "gateway",
            "log_dir": "gateway/log",
        }
        (self.folder / "spot.json").write_text(json.dumps(config, indent=2), encoding="utf-8")

    def start_gateway(self) -> None:
        """Starts it and waits until strategies can connect."""
        self.gateway.start()

        def up() -> bool:
            if self.gateway.ended():
                raise ProcessError(f"the gateway ended at once: {self.gateway.last_words()}")
            return listens(self.port)

        wait_until("the gateway listens", up, START_TIMEOUT_S)
        self.view.event(f"gateway listens on {self.address}")

    def run(self, seconds: float) -> None:
        """The play: start, kill a strategy, kill the gateway, go on, come to an end."""
        self.prepare()
        self.start_gateway()
        for session, strategy in self.team.items():
            strategy.start()
            self.view.event(f"strategy {strategy.name} started as session {session}")
        self.watch(seconds / 3)
        victim = self.team[1]
        victim.kill()
        self.view.event(f"strategy {victim.name} killed (SIGKILL), its orders stay at the exchange")
        self.watch(seconds / 12)
        victim.start()
        self.view.event(f"strategy {victim.name} started again: it takes its orders and position over")
        self.watch(seconds / 6)
        self.gateway.kill()
        self.view.event("gateway killed (SIGKILL) while orders are in flight")
        time.sleep(1.0)
        self.start_gateway()
        self.watch(seconds * 5 / 12)
        self.finish()

    def watch(self, seconds: float) -> None:
        """Lets them trade, and shows it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for process in (self.exchange, self.gateway, *self.team.values()):
                if process.ended():
                    raise ProcessError(f"{process.name} ended by itself: {process.last_words()}")
            with contextlib.suppress(books.Unreadable):
                self.view.progress(lambda: books.sessions_so_far(self.gateway_files))
            time.sleep(LOOK_EVERY_S)

    def finish(self) -> None:
        """Ends the strategies, then what they left open, then the gateway, then the exchange."""
        for strategy in self.team.values():
            code = strategy.stop(END_TIMEOUT_S)
            if code != 0:
                raise ProcessError(
                    f"strategy {strategy.name} ended with code {code}: {strategy.last_words()}"
                )
        self.view.event("strategies ended; what they left open is cancelled")
        self.settle.start()
        wait_until("no order is open", self.settle.ended, END_TIMEOUT_S)
        traded = len(books.trades(self.exchange_files, ACCOUNT))
        booked: Callable[[], bool] = lambda: books.fills_booked(self.gateway_files) >= traded  # noqa: E731
        wait_until(f"all {traded} fills are booked", booked, END_TIMEOUT_S)
        self.gateway.stop(END_TIMEOUT_S)
        self.view.event("gateway ended")

    def judge(self) -> bool:
        """Compares both sides and prints the report; do they agree?"""
        account, still_open = books.exchange_account(self.rest, ACCOUNT)
        assets = books.tie_out(self.gateway_files, account)
        trades = books.trades(self.exchange_files, ACCOUNT)
        differences = books.fill_differences(self.gateway_files, trades)
        sessions = books.sessions(self.gateway_files)
        self.view.report(sessions, assets)
        for difference in differences:
            print(difference)
        traded = {session.session for session in sessions if session.fills}
        idle = [name for session, name in NAMES.items() if session not in traded]
        if idle:
            print(f"without a fill: {', '.join(idle)}")
        if still_open:
            print(f"{still_open} orders are still open at the exchange")
        holds = all(line.holds for line in assets) and not (differences or idle or still_open)
        good = f"{len(trades)} trades at the exchange, each booked once and under its session"
        print(f"\n{good if holds else 'THE BOOKS DO NOT AGREE WITH THE EXCHANGE'}")
        return holds

    def stay(self) -> None:
        """Exchange and gateway go on, for strategies of the user's own, until Ctrl-C."""
        self.start_gateway()
        print(f"\nrun yours:  XDG_RUNTIME_DIR={self.folder / 'run'} {near(Path(sys.executable))} FILE")
        print(
            f"            with addr={self.address!r} and a session_id of 10 or more; Ctrl-C here ends it all"
        )
        while not self.exchange.ended() and not self.gateway.ended():
            time.sleep(1.0)

    def end_all(self) -> None:
        """Leaves no process behind, whatever happened."""
        for process in (*self.team.values(), self.settle, self.gateway, self.exchange):
            process.kill()


def near(path: Path) -> Path:
    """The path as it is typed from here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def farewell(demo: Demo) -> None:
    """What there is to look at, and how to go on."""
    shown = near(demo.folder)
    binaries = near(Path(os.environ["TRADINGSYS_BIN_DIR"]))
    sql = "SELECT session_id, symbol, qty, avg_price FROM position"
    database = f"{shown}/gateway/pos.db"
    look = f'sqlite3 -readonly {database} "{sql}"'
    if shutil.which("sqlite3") is None:
        rows = f'sqlite3.connect("{database}").execute("{sql}")'
        look = f"python3 -c 'import sqlite3; print(*{rows}, sep=\"\\n\")'"
    files = f"--accounts {shown}/accounts.json --data-dir {shown}/exchange"
    exchange = f"{binaries / 'binance-sim'} --port {demo.exchange_port} {files}"
    print(f"""
left in {shown}:
  gateway/pos.db       positions, fees and profit: to read, and to edit while the gateway is stopped
  gateway/journal.db   every order, fill and event
  exchange/            the exchange's own record: trades.jsonl, orders.jsonl
  *.log                what every process said

look:    {look}
edit:    change a row, then start exchange and gateway again on these files, each in a terminal:
         {exchange}
         XDG_RUNTIME_DIR={shown}/run {binaries / "spot"} -c={shown}/spot.json
         the row is honoured, and is in the table adjustment of gateway/journal.db
go on:   ./dev demo --stay keeps exchange and gateway up, for strategies of your own;
         tools/demolib/strategies holds those that ran""")


def fresh(folder: Path) -> None:
    """Makes the folder, in place of one that an earlier demo made."""
    if folder.exists():
        if not (folder / ".demo").exists():
            raise ProcessError(f"{folder} is not the folder of a demo; name another with --out")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / ".demo").write_text(MARK, encoding="utf-8")


def terminated(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM ends the demo as Ctrl-C does: with its processes."""
    raise KeyboardInterrupt


def main() -> int:
    """Runs the demo; 0 only if the books add up."""
    options = parse()
    signal.signal(signal.SIGTERM, terminated)
    folder = options.out.resolve()
    demo = None
    try:
        fresh(folder)
        demo = Demo(folder, options.seed, View(sys.stdout, NAMES))
        demo.run(options.seconds)
        good = demo.judge()
        farewell(demo)
        if options.stay:
            demo.stay()
    except ProcessError as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if demo is not None:
            demo.end_all()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
