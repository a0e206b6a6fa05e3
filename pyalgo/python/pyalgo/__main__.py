"""The command `pyalgo`, also `python -m pyalgo`: asks a gateway, or its files.

docs/operating.md has the commands for a gateway that runs, docs/verify.md those for its files.
"""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from pathlib import Path
from typing import NoReturn

from ._doctor import doctor
from ._exits import DONE, INTERRUPTED, MEANING, REFUSED, USAGE, as_json
from ._explain import Unknown, explain
from ._files import Unreadable
from ._operate import COMMANDS, changes, operate
from ._output import Output
from ._verify import verify

_ADDRESS = "ws://localhost:8111"


class _WrongUsage(ValueError):
    """Arguments that cannot be meant."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _WrongUsage(f"{message}; see {self.prog} --help")


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    out = Output()
    try:
        asked = _parser().parse_args(given)
    except _WrongUsage as error:
        if "--json" in given:
            out.say(json.dumps(as_json(error)))
        out.complain(str(error))
        return USAGE
    try:
        code = _run(asked, out)
    except KeyboardInterrupt:
        return INTERRUPTED
    return out.code(code, only_asked=not changes(asked))


def _run(asked: argparse.Namespace, out: Output) -> int:
    if asked.command in COMMANDS:
        return operate(asked, out)
    return doctor(asked, out) if asked.command == "doctor" else _files(asked, out)


def _files(asked: argparse.Namespace, out: Output) -> int:
    try:
        if asked.command == "explain":
            lines, holds = iter(explain(asked.db, asked.order, asked.symbol)), True
        else:
            found = verify(asked.db)
            lines, holds = found.lines(), found.holds
        for line in lines:
            out.say(line)
    except Unreadable as error:
        out.complain(str(error))
        return USAGE
    except Unknown as error:
        out.complain(str(error))
        return REFUSED
    return DONE if holds else REFUSED


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="pyalgo",
        description="Asks a gateway that runs, tells it what to stop, or looks at its files.",
        epilog="exit codes: " + "; ".join(f"{code} {words}" for code, words in MEANING.items()),
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = commands.add_parser("explain", help="the life of one order, with its times, from the files")
    one.add_argument("order", metavar="ORDER", help="its id, or its number at the exchange")
    one.add_argument("--symbol", type=str.lower, help="of which symbol, where numbers repeat")
    all_of_it = commands.add_parser("verify", help="whether the books are what was promised, from the files")
    for command in (one, all_of_it):
        command.add_argument(
            "--db", type=Path, default=Path(), help='the gateway\'s "db" folder (default: here)'
        )
    _operators(commands)
    _doctors(commands)
    return parser


def _connection(command: argparse.ArgumentParser, address: str | None) -> None:
    where = f" (default: {address})" if address else " (default: that of the configuration)"
    command.add_argument("--addr", default=address, help="ws://…, wss://… or unix:/…" + where)
    command.add_argument(
        "--token-file", type=Path, help="the operator's token (default: where it is written)"
    )
    command.add_argument("--ca", type=Path, help="for wss://, the certificates to trust")
    command.add_argument(
        "--timeout", type=_patience, default=10.0, metavar="S", help="wait so long for an answer"
    )
    command.add_argument(
        "--name",
        type=_words,
        default=_login_name(),
        help="who the gateway is told it is (default: %(default)s)",
    )
    command.add_argument("--json", action="store_true", help="JSON instead of tables")


def _operators(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = {
        "status": "how everything stands",
        "sessions": "all sessions",
        "orders": "open orders of all sessions, and of nobody",
        "positions": "positions of all sessions, and whether they add up",
        "limits": "limits, and what is used of them; with options, others",
        "kill": "stop everything: no new orders, all open ones cancelled, until it is cleared",
        "clear": "clear the kill switch",
        "pause": "take no orders but those that only reduce, of one session or all",
        "resume": "end a pause",
    }
    made = {name: commands.add_parser(name, help=help_) for name, help_ in words.items()}
    for name, command in made.items():
        _connection(command, _ADDRESS)
        if name in ("status", "sessions", "orders", "positions", "limits"):
            command.add_argument("--watch", type=_pause, metavar="S", help="again every S seconds")
        if name in ("orders", "positions", "pause", "resume"):
            command.add_argument("--session", type=_session, metavar="N", help="of this session alone")
        if name in ("kill", "pause"):
            command.add_argument("--reason", type=_words, default="", help="told to whom it stops, and kept")
    made["kill"].add_argument("--flatten", action="store_true", help="close what sessions hold, too")
    made["kill"].add_argument(
        "--wait", type=_seconds, default=10.0, metavar="S", help="until all orders are gone, so long at most"
    )
    limits = made["limits"]
    limits.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="one limit, by its path"
    )
    limits.add_argument("--unset", action="append", default=[], metavar="PATH", help="no such limit any more")
    limits.add_argument("--file", type=Path, help="all limits, from a file written as in the configuration")
    limits.add_argument("--reset", action="store_true", help="back to those of the configuration")


def _doctors(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "doctor", help="whether everything is there that a gateway and strategies need"
    )
    command.add_argument("-c", "--config", type=Path, help="the gateway's configuration (default: spot.json)")
    command.add_argument("--gateway", type=Path, help="its program (default: spot or usdt on the PATH)")
    command.add_argument(
        "--passphrase-fd", type=_descriptor, metavar="FD", help="handed on to the gateway's check"
    )
    _connection(command, None)


def _session(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no session number from 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to 86400")
    return seconds


def _patience(text: str) -> float:
    if (seconds := _seconds(text)) == 0:
        raise argparse.ArgumentTypeError("nothing is answered within 0 seconds")
    return seconds


def _descriptor(text: str) -> int:
    if not text.isdecimal() or int(text) < 3:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of a file descriptor from 3 on")
    return int(text)


def _words(text: str) -> str:
    """Bytes that are no text become signs that show it: a stop must not fail by its reason."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _login_name() -> str:
    try:
        return _words(getpass.getuser())
    except (KeyError, OSError):
        # A user without a name, as in a container.
        return "pyalgo"


def _pause(text: str) -> float:
    if (seconds := _seconds(text)) < 0.1:
        raise argparse.ArgumentTypeError(f"{text!r} is too often: 0.1 s is the least")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
