"""Where things are in the checkout."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEV = ROOT / ".dev"
VENV = DEV / "venv"
PLAIN = DEV / "plain"
BENCH = DEV / "bench"
TOOLCHAIN = ROOT / ".toolchain"
PYALGO = ROOT / "pyalgo" / "python"
