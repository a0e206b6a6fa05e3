"""The command `pyalgo`, also `python -m pyalgo`: asks a gateway's files; docs/verify.md."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ._explain import Unknown, explain
from ._files import Unreadable
from ._verify import verify


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        if asked.command == "explain":
            lines, holds = iter(explain(asked.db, asked.order, asked.symbol)), True
        else:
            found = verify(asked.db)
            lines, holds = found.lines(), found.holds
        for line in lines:
            print(line)
    except Unreadable as error:
        print(error, file=sys.stderr)
        return 2
    except Unknown as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return 0 if holds else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyalgo",
        description="Asks a gateway's files, while it runs or not, and changes nothing.",
        epilog="exit codes: 0 all is well, 1 it is not, or there is no such order, 2 usage, or no files",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = commands.add_parser("explain", help="the life of one order, with its times")
    one.add_argument("order", metavar="ORDER", help="its id, or its number at the exchange")
    one.add_argument("--symbol", type=str.lower, help="of which symbol, where numbers repeat")
    all_of_it = commands.add_parser("verify", help="whether the books are what was promised")
    for command in (one, all_of_it):
        command.add_argument(
            "--db", type=Path, default=Path(), help='the gateway\'s "db" folder (default: here)'
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
