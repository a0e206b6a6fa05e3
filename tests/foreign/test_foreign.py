"""Exchange clients we did not write, unpatched, against binance-sim. The checks are in clients/."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from devlib import foreign, venv

CLIENTS = Path(__file__).parent / "clients"


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    "client",
    [
        "ccxt",
        "python_binance",
        "binance_sdk",
        "ccxt_futures",
        "python_binance_futures",
        "binance_sdk_futures",
        "ccxt_margin",
        "python_binance_margin",
    ],
)
def test_client_works_unpatched(client: str) -> None:
    """Markets, book, orders and their ends, trades, balances, streams, private events, refusals."""
    python = foreign.ensure()
    command = [str(python), "-m", "pytest", "-q", f"check_{client}.py"]
    result = subprocess.run(
        command,
        cwd=CLIENTS,
        env=venv.clean_environment(),
        capture_output=True,
        text=True,
        timeout=1_800,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
