"""The whole system in virtual time under seeded faults, on all cores: `./dev soak world --minutes 30`.

A failure prints its smallest form and the command that replays it. Built as a release: it runs for long.
With `--python --seeds 0..1000` a strategy in Python, a process of its own on `pyalgo`, has the first seat.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STEPPED = Path(__file__).resolve().parents[2] / "tests" / "e2e" / "strategies" / "stepped.py"


def main() -> int:
    """Builds and runs the program with the arguments given."""
    build = ["cargo", "run", "--release", "--locked", "--quiet", "--package", "tradingsys-world", "--"]
    arguments = sys.argv[1:]
    if "--python" in arguments:
        arguments[arguments.index("--python")] = f"--program={sys.executable} {STEPPED}"
    return subprocess.run([*build, *arguments], check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
