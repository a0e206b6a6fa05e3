"""The processes of a benchmark: simulator, exchange that notes times, gateway, strategies, relay."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchlib.figures import Row

Command = Sequence[str | Path]
NOTHING: Command = ()
STRATEGIES = Path(__file__).parent / "strategies"
PATIENCE_S = 60
APIKEY = "bench"
# No limit of the exchange must come between: it is the gateway that is measured.
UNLIMITED = ("--weight-limit=1000000000", "--order-limit=1000000000", "--connection-limit=1000000")


def binary(name: str) -> Path:
    """A built program."""
    return Path(os.environ.get("TRADINGSYS_BIN_DIR", "target/debug")).resolve() / name


class Process:
    """A program that speaks lines of JSON."""

    def __init__(self, command: Command, folder: Path, errors: str, **environment: str) -> None:
        self.name = errors
        self.errors = folder / f"{errors}.err"
        with self.errors.open("ab") as err:
            self.popen = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, text=True,
                env=os.environ | environment,
            )  # fmt: skip

    def line(self) -> Row:
        """The next line it says."""
        assert self.popen.stdout is not None
        text = self.popen.stdout.readline()
        if not text:
            self.popen.wait(PATIENCE_S)
            raise SystemExit(f"{self.name} ended: {self.errors.read_text(encoding='utf-8')[-2000:]}")
        said: Row = json.loads(text)
        if "error" in said:
            raise SystemExit(f"{self.name}: {said['error']}")
        return said

    def ask(self, **wish: Any) -> Row:
        """Gives an order and waits for the answer."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(json.dumps(wish) + "\n")
        self.popen.stdin.flush()
        return self.line()

    def end(self) -> None:
        """Ends it by SIGTERM."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        self.popen.wait(PATIENCE_S)

    def report(self) -> Row:
        """What it says once it is told to end."""
        self.popen.send_signal(signal.SIGTERM)
        said = self.line()
        self.popen.wait(PATIENCE_S)
        return said

    def close(self) -> None:
        """Ends it, whatever became of it."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(PATIENCE_S)
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                pipe.close()

    def cpu_ns(self) -> int:
        """Time on a core so far, of all its threads that live."""
        tasks = Path(f"/proc/{self.popen.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())

    def resident_mb(self) -> float:
        """Memory in use."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text(encoding="utf-8")
        (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        return int(kilobytes) / 1024


class System:
    """An exchange that notes times, and a gateway at it."""

    def __init__(self, folder: Path, stack: ExitStack, under: Command, **config: Any) -> None:
        self.folder, self.stack = folder, stack
        key: Command = [binary("spot"), "keygen", f"--out={folder / 'key.pem'}"]
        public = subprocess.run(key, check=True, capture_output=True, text=True).stdout
        (folder / "key.pub.pem").write_text(public)
        account = f"--account=main:{APIKEY}:key.pub.pem"
        command: Command = [binary("binance-sim"), "--port=0", account, "--ticks-per-second=0", *UNLIMITED]
        self.simulator = self.process(command, "simulator")
        behind = self.simulator.line()["listening"]
        self.exchange = self.process([binary("bench-wire"), "exchange", behind], "exchange")
        self.at = self.exchange.line()["listening"]
        settings = {
            "apikey": APIKEY, "pem": "key.pem", "local": "ws://localhost:0", "db": "db", "log_dir": "log",
            "token_file": "token", "unix_socket": "gateway.sock", "recovery_lag_ms": 1000,
            "endpoints": {"ws_api": f"ws://{self.at}/ws-api/v3", "streams": f"ws://{self.at}"},
        }  # fmt: skip
        (folder / "spot.json").write_text(json.dumps(settings | config))
        self.gateway = self.process([*under, binary("spot"), "-c=spot.json", "-l=warn"], "gateway")
        self.url = self.gateway.line()["listening"]
        self.relays = 0
        self.exchange.ask(do="open", address=self.raw_address("tcp"), token=self.token)

    def process(self, command: Command, errors: str, **environment: str) -> Process:
        """A process that is ended with the system."""
        made = Process(command, self.folder, errors, **environment)
        self.stack.callback(made.close)
        return made

    def address(self, transport: str) -> str:
        """Where strategies connect."""
        return self.url if transport == "tcp" else f"unix:{self.folder / 'gateway.sock'}"

    def raw_address(self, transport: str) -> str:
        """The same for bench-wire."""
        host = self.url.removeprefix("ws://").removesuffix("/")
        return f"tcp:{host}" if transport == "tcp" else self.address(transport)

    @property
    def token(self) -> str:
        """What opens the gateway's door."""
        return (self.folder / "token").read_text()

    def strategy(self, name: str, *arguments: object, under: Command = NOTHING) -> Process:
        """A strategy, once it says that it is ready."""
        words: Command = [*under, sys.executable, STRATEGIES / f"{name}.py", *map(str, arguments)]
        made = self.process(words, name, TRADINGSYS_TOKEN_FILE=str(self.folder / "token"))
        made.line()
        return made

    def relay(self, transport: str, *options: str) -> tuple[Process, str]:
        """A bare relay, and where its clients connect."""
        self.relays += 1
        own = "tcp:127.0.0.1:0" if transport == "tcp" else f"unix:{self.folder}/relay{self.relays}.sock"
        command: Command = [binary("bench-wire"), "relay", own, f"tcp:{self.at}", *options]
        made = self.process(command, "relay")
        return made, str(made.line()["listening"])

    def relay_client(self, address: str, every: int) -> Process:
        """A client of the relay that answers every so manieth tick."""
        made = self.process([binary("bench-wire"), "client", address, str(every)], "client")
        time.sleep(0.1)
        return made


@contextmanager
def system(under: Command = NOTHING, **config: Any) -> Iterator[System]:
    """A system in a folder of its own, ended and removed afterwards; its gateway is run by `under`."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        yield System(Path(folder), stack, under, **config)
