"""The command line of the demo: also looked at before anything is built."""

from __future__ import annotations

import argparse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = """\
Several strategies trade several symbols through the real gateway on the simulated exchange. In the middle a
strategy is killed and started again, then the gateway. At the end the gateway's books are compared with the
exchange's own files, and the exit code says whether they agree.
"""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options; ends the program on help (0) and on what it does not know (2)."""
    parser = argparse.ArgumentParser(prog="./dev demo", description=TEXT)
    parser.add_argument("--seconds", type=float, default=40.0, help="how long they trade (default 40)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the synthetic market (default 1)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "demo-out", help="folder to use (default demo-out)"
    )
    parser.add_argument(
        "--stay", action="store_true", help="keep exchange and gateway up for your strategies"
    )
    return parser.parse_args(arguments)
