"""The whole system in virtual time under seeded faults, on all cores: `./dev soak world --minutes 30`.

A failure prints its smallest form and the command that replays it. Built as a release: it runs for long.
"""

from __future__ import annotations

import subprocess
import sys


def main() -> int:
    """Builds and runs the program with the arguments given."""
    build = ["cargo", "run", "--release", "--locked", "--quiet", "--package", "tradingsys-world", "--"]
    return subprocess.run([*build, *sys.argv[1:]], check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
