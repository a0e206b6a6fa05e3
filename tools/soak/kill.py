"""A gateway killed at named places, over real processes and sockets: `./dev soak kill --loops 1000 --seed 1`.

Rounds of the spot gateway and of the futures gateway take turns; `--product usdt` is of that one alone.

Each round is a new exchange, two sessions that trade on, a user who edits `pos.db`, and a gateway that dies
at every place a few times in an order drawn by the round's seed; then all books and files are judged.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

# Places of one round; the first start dies at one more.
PLACES = 23
PRODUCTS = ["spot", "usdt"]


def main() -> int:
    """Runs as many rounds as it takes."""
    parser = argparse.ArgumentParser(prog="./dev soak kill", description=__doc__)
    parser.add_argument("--loops", type=int, default=1000, help="deaths at least (1000)")
    parser.add_argument("--seed", type=int, default=1, help="of the first round (1)")
    parser.add_argument("--at-each", type=int, default=3, help="deaths at each place in a round (3)")
    parser.add_argument("--product", choices=PRODUCTS, help="of one gateway alone (both in turn)")
    options = parser.parse_args()
    products = [options.product] if options.product else PRODUCTS
    # At least one of each.
    rounds = max(-(-options.loops // (PLACES * options.at_each + 1)), len(products))
    environment = os.environ | {
        "TRADINGSYS_SEED": str(options.seed),
        "TRADINGSYS_ROUNDS": str(rounds),
        "TRADINGSYS_AT_EACH": str(options.at_each),
        "TRADINGSYS_PRODUCTS": ",".join(products),
    }
    test = "tests/e2e/test_failpoints.py::test_r51_r52_i1_i21_killed_at_every_place"
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-x", test]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
