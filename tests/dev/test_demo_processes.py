"""The demo's own processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from demolib.processes import Process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_process_starts_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    started: list[subprocess.Popen[str]] = []

    def disturbed(*words: Any, **options: Any) -> subprocess.Popen[str]:
        started.append(original(*words, **options))
        signal.raise_signal(number)
        return started[0]

    def ended(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    original = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", disturbed)
    process = Process("sleeper", [sys.executable, "-c", "import signal; signal.pause()"], {}, tmp_path)
    before = signal.signal(number, ended)
    try:
        with pytest.raises(KeyboardInterrupt):
            process.start()
    finally:
        signal.signal(number, before)
        process.kill()
        left = started[0].poll() is None
        started[0].kill()
    assert not left, "it is known, and ended with the others"
