"""./dev demo: strategies trade spot and futures side by side, through the real gateways, at the simulator.

In the middle a strategy is killed and started again, then the spot gateway, while futures trade on. At the
end the gateways' books are compared with the exchange's own files, and the exit code says whether they agree.
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
from functools import partial
from pathlib import Path
from types import FrameType

from demolib import books
from demolib.options import parse
from demolib.processes import Process, ProcessError, free_port, listens, wait_until
from demolib.view import View

STRATEGIES = Path(__file__).resolve().parent / "demolib" / "strategies"
ACCOUNT = "demo"
OPENING = {"USDT": "100000", "BTC": "1", "ETH": "20", "BNB": "50", "SOL": "100", "DOGE": "100000"}
# Session, name, file, markets: two strategies share one symbol, each with a position of its own; two are one
# file; one trades both markets.
TEAM = (
    (1, "maker", "maker.py", ("spot",)),
    (2, "seller", "seller.py", ("spot",)),
    (3, "momentum", "trend.py", ("spot",)),
    (4, "swing", "trend.py", ("usdt",)),
    (5, "hedge", "hedge.py", ("spot", "usdt")),
)
NAMES = {session: name for session, name, _, _ in TEAM}
MARK = "made by ./dev demo"
START_TIMEOUT_S = 120
END_TIMEOUT_S = 120
LOOK_EVERY_S = 0.25


class House:
    """A gateway of one market: its process, its address, its books."""

    def __init__(self, market: str, folder: Path, env: dict[str, str], binaries: Path) -> None:
        self.market = market
        self.port = free_port()
        self.address = f"ws://localhost:{self.port}"
        # The spot gateway is the one the tour of the files speaks of.
        self.place = "gateway" if market == "spot" else market
        self.files = folder / self.place
        self.folder = folder
        self.process = Process(
            f"{market} gateway", [binaries / market, f"-c={market}.json", "-l=info"], env, folder
        )

    @property
    def sessions(self) -> dict[int, str]:
        """Who trades here."""
        return {session: name for session, name, _, markets in TEAM if self.market in markets}

    def configure(self, apikey: str, exchange: dict[str, str]) -> None:
        """Its folder and its configuration."""
        self.files.mkdir(mode=0o700)
        host = f"ws://{exchange['listening']}"
        spot = {name: exchange.get(name, "") for name in ("ws_api", "streams")}
        routes = {name: f"{host}/{name}" for name in ("public", "market", "private")}
        usdt = {"rest": exchange["rest"], "ws_api": f"{host}/ws-fapi/v1"} | routes
        config = {
            "apikey": apikey,
            "pem": "private_key.pem",
            "local": self.address,
            "endpoints": spot if self.market == "spot" else usdt,
            "db": self.place,
            "log_dir": f"{self.place}/log",
        }
        file = self.folder / f"{self.market}.json"
        file.write_text(json.dumps(config, indent=2), encoding="utf-8")

    def start(self) -> None:
        """Starts it and waits until strategies can connect."""
        self.process.start()

        def up() -> bool:
            if self.process.ended():
                raise ProcessError(f"the {self.process.name} ended at once: {self.process.last_words()}")
            return listens(self.port)

        wait_until(f"the {self.process.name} listens", up, START_TIMEOUT_S)

    def logins(self, session: int) -> int:
        """How often a session was taken, as its log says."""
        log = self.process.log
        said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        return said.count(f"session taken session={session} ")

    def trades(self, exchange: Path) -> list[books.Trade]:
        """The exchange's trades of our account in this market."""
        prefix = "" if self.market == "spot" else "futures_"
        return books.trades(exchange, ACCOUNT, f"{prefix}trades.jsonl")

    def account(self, rest: str) -> tuple[books.Amounts, int]:
        """What the exchange says the account has in this market, and its open orders."""
        ask = books.exchange_account if self.market == "spot" else books.futures_account
        return ask(rest, ACCOUNT)


class Demo:
    """All processes and the folder they live in."""

    def __init__(self, folder: Path, seed: int, view: View) -> None:
        self.folder = folder
        self.view = view
        self.exchange_files = folder / "exchange"
        binaries = Path(os.environ["TRADINGSYS_BIN_DIR"])
        self.rest = ""
        self.exchange_port = 0
        # Here the gateway leaves the token of its door, and the strategies find it.
        env = os.environ | {"XDG_RUNTIME_DIR": str(folder / "run"), "PYTHONUNBUFFERED": "1"}
        self.keygen: list[str | Path] = [binaries / "spot", "keygen", "--out", folder / "private_key.pem"]
        self.exchange = Process(
            "exchange",
            [
                *(binaries / "binance-sim", "--port", str(free_port()), "--seed", str(seed)),
                *("--ticks-per-second", "20"),
                *("--accounts", folder / "accounts.json", "--data-dir", self.exchange_files),
            ],
            env,
            folder,
        )
        self.houses = {market: House(market, folder, env, binaries) for market in ("spot", "usdt")}
        self.team = {
            session: Process(
                name, self.command(file, *map(self.address, markets), str(session), name), env, folder
            )
            for session, name, file, markets in TEAM
        }
        everybody = [
            word for house in self.houses.values() for word in (house.address, *map(str, house.sessions))
        ]
        self.settle = Process("settle", self.command("settle.py", *everybody), env, folder)

    def address(self, market: str) -> str:
        """Where strategies of a market connect."""
        return self.houses[market].address

    @staticmethod
    def command(file: str, *arguments: str) -> list[str | Path]:
        """A strategy's command line."""
        return [sys.executable, STRATEGIES / file, *arguments]

    def prepare(self) -> None:
        """A new key, an account with that key at the exchange, and the exchange itself."""
        for place in (self.folder / "run", self.exchange_files):
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
        for house in self.houses.values():
            house.configure(apikey, addresses)

    def start_gateway(self, market: str) -> None:
        """Starts it and says so."""
        self.houses[market].start()
        self.view.event(f"{market} gateway listens on {self.address(market)}")

    def run(self, seconds: float) -> None:
        """The play: start, kill a strategy, kill the gateway, go on, come to an end."""
        self.prepare()
        for market in self.houses:
            self.start_gateway(market)
        for session, strategy in self.team.items():
            self.enter(session)
            self.view.event(f"strategy {strategy.name} started as session {session}")
        self.watch(seconds / 3)
        victim = self.team[1]
        victim.kill()
        self.view.event(f"strategy {victim.name} killed (SIGKILL), its orders stay at the exchange")
        self.watch(seconds / 12)
        self.enter(1)
        self.view.event(f"strategy {victim.name} started again: it takes its orders and position over")
        self.watch(seconds / 6)
        self.houses["spot"].process.kill()
        self.view.event("spot gateway killed (SIGKILL) while orders are in flight; futures trade on")
        time.sleep(1.0)
        self.start_gateway("spot")
        self.watch(seconds * 5 / 12)
        self.finish()

    def enter(self, session: int) -> None:
        """Starts a strategy and waits until its gateways have let it in: one that finds none there ends."""
        strategy = self.team[session]
        houses = [house for house in self.houses.values() if session in house.sessions]
        before = [house.logins(session) for house in houses]
        strategy.start()

        def inside() -> bool:
            if strategy.ended():
                raise ProcessError(f"strategy {strategy.name} ended at once: {strategy.last_words()}")
            return all(house.logins(session) > then for house, then in zip(houses, before, strict=True))

        wait_until(f"strategy {strategy.name} has logged in", inside, START_TIMEOUT_S)

    def watch(self, seconds: float) -> None:
        """Lets them trade, and shows it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for process in self.processes():
                if process.ended():
                    raise ProcessError(f"{process.name} ended by itself: {process.last_words()}")
            with contextlib.suppress(books.Unreadable):
                self.view.progress(self.so_far)
            time.sleep(LOOK_EVERY_S)

    def processes(self) -> list[Process]:
        """All that have to run while strategies trade."""
        gateways = [house.process for house in self.houses.values()]
        return [self.exchange, *gateways, *self.team.values()]

    def so_far(self) -> list[books.SessionBooks]:
        """All sessions of both gateways."""
        return [found for house in self.houses.values() for found in books.sessions_so_far(house.files)]

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
        for market, house in self.houses.items():
            traded = len(house.trades(self.exchange_files))
            booked = partial(self.booked, house, traded)
            wait_until(f"all {traded} fills of {market} are booked", booked, END_TIMEOUT_S)
            house.process.stop(END_TIMEOUT_S)
        self.view.event("gateways ended")

    @staticmethod
    def booked(house: House, traded: int) -> bool:
        """Are as many fills booked?"""
        return books.fills_booked(house.files) >= traded

    def judge(self) -> bool:
        """Compares both sides of both markets and prints the report; do they agree?"""
        verdicts = [self.judge_market(house) for house in self.houses.values()]
        count = sum(len(house.trades(self.exchange_files)) for house in self.houses.values())
        good = f"{count} trades at the exchange, each booked once and under its session"
        print(f"\n{good if all(verdicts) else 'THE BOOKS DO NOT AGREE WITH THE EXCHANGE'}")
        return all(verdicts)

    def judge_market(self, house: House) -> bool:
        """One gateway's books and the exchange's own files."""
        account, still_open = house.account(self.rest)
        assets = books.tie_out(house.files, account)
        differences = books.fill_differences(house.files, house.trades(self.exchange_files))
        sessions = books.sessions(house.files)
        self.view.report(sessions, assets, f"{house.market}:")
        for difference in differences:
            print(difference)
        traded = {session.session for session in sessions if session.fills}
        idle = [name for session, name in house.sessions.items() if session not in traded]
        if idle:
            print(f"without a fill: {', '.join(idle)}")
        if still_open:
            print(f"{still_open} orders are still open at the exchange")
        return all(line.holds for line in assets) and not (differences or idle or still_open)

    def stay(self) -> None:
        """Exchange and gateways go on, for strategies of the user's own, until Ctrl-C."""
        for market in self.houses:
            self.start_gateway(market)
        print(f"\nrun yours:  XDG_RUNTIME_DIR={self.folder / 'run'} {near(Path(sys.executable))} FILE")
        print(
            f"            with addr={self.address('spot')!r} (futures: {self.address('usdt')!r}) and a"
            " session_id of 10 or more; Ctrl-C here ends it all"
        )
        gateways = [house.process for house in self.houses.values()]
        while not any(process.ended() for process in (self.exchange, *gateways)):
            time.sleep(1.0)

    def end_all(self) -> None:
        """Leaves no process behind, whatever happened."""
        gateways = [house.process for house in self.houses.values()]
        for process in (*self.team.values(), self.settle, *gateways, self.exchange):
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
  gateway/journal.db   every order, fill and event; usdt/ has the same of the futures
  exchange/            the exchange's own record: trades.jsonl, orders.jsonl, futures_trades.jsonl …
  *.log                what every process said

look:    {look}
edit:    change a row, then start exchange and gateway again on these files, each in a terminal:
         {exchange}
         XDG_RUNTIME_DIR={shown}/run {binaries / "spot"} -c={shown}/spot.json
         the row is honoured, and is in the table adjustment of gateway/journal.db
go on:   ./dev demo --stay keeps exchange and gateways up, for strategies of your own;
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
