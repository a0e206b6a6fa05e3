"""A gateway stopped by SIGSTOP for ninety real seconds at an exchange in no hurry: `./dev soak standstill`.

What the tests do with an exchange whose clocks run thirty times faster, at their true lengths: the gateway's
own limits of silence are passed as well.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

TEST = "tests/e2e/test_disk_and_stop.py::test_a_gateway_that_stood_still_for_ninety_seconds_catches_up"


def main() -> int:
    """Runs the test so many times."""
    parser = argparse.ArgumentParser(prog="./dev soak standstill", description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=1, help="how often (1)")
    options = parser.parse_args()
    for _ in range(options.times):
        command = [sys.executable, "-m", "pytest", "-q", "-s", "-x", TEST]
        code = subprocess.run(command, env=os.environ | {"TRADINGSYS_SCALE": "1"}, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
