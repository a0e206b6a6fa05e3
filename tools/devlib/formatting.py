"""The task `fmt`."""

from __future__ import annotations

from devlib import comments, setup, venv
from devlib.console import Stop, call
from devlib.paths import ROOT


def run(arguments: list[str]) -> int:
    """Formats Rust and Python in place."""
    if arguments:
        raise Stop("fmt takes no arguments", 2)
    env = setup.environment()
    for folder in ("src", "runtime", "logger", "binance", "world", "fuzz", "pyalgo", "benches"):
        for path in sorted((ROOT / folder).rglob("*.rs")):
            comments.wrap_file(path)
    rust = call(["cargo", "fmt", "--all"], env, ROOT)
    python = call([venv.python(), "-m", "ruff", "format", "--quiet", "."], env, ROOT)
    return 1 if rust or python else 0
