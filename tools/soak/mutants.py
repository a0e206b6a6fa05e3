"""Wrong protocols, each run through schedules of the world until an invariant notices: `./dev soak mutants`.

`./dev soak mutants [NAME ...] [--seeds FROM..TO]`. The mutants are in tools/mutants; tools/devlib/mutants.py
describes their form.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from devlib import console, mutants


def main() -> int:
    """Runs the mutants named, or all."""
    parser = argparse.ArgumentParser(prog="./dev soak mutants", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seeds", default=mutants.SEEDS, metavar="FROM..TO")
    options = parser.parse_args()
    if not re.fullmatch(r"\d+\.\.\d+", options.seeds):
        parser.error("--seeds wants a range like 0..1000")
    try:
        return mutants.run(options.names, options.seeds)
    except console.Stop as stop:
        print(f"mutants: {stop}", file=sys.stderr)
        return stop.code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
