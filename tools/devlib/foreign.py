"""The environment of the exchange clients we did not write: `.dev/venv-foreign`, for tests/foreign alone.

They pin half of PyPI between them, which is why they have an environment of their own.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import venv as standard
from pathlib import Path

from devlib import venv
from devlib.console import Stop, call
from devlib.paths import DEV, ROOT

PLACE = DEV / "venv-foreign"
STAMP = DEV / "venv-foreign.stamp"
LOCK = ROOT / "tests" / "foreign" / "requirements.lock"


def python() -> Path:
    """The environment's interpreter."""
    return PLACE / "bin" / "python"


def ensure() -> Path:
    """Makes the environment unless it fits the lock file and the interpreter; returns its interpreter."""
    stamp = f"{sys.version} {ROOT} {hashlib.sha256(LOCK.read_bytes()).hexdigest()}"
    if python().exists() and STAMP.exists() and STAMP.read_text(encoding="utf-8") == stamp:
        return python()
    STAMP.unlink(missing_ok=True)
    shutil.rmtree(PLACE, ignore_errors=True)
    standard.create(PLACE, with_pip=False, symlinks=True)
    # The development environment's pip installs into the other one, which needs none of its own.
    pip: list[str | Path] = [venv.python(), "-m", "pip", "--python", python(), "--no-input"]
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes"]
    if call([*pip, "install", *options, "-r", LOCK], venv.clean_environment(), ROOT) != 0:
        raise Stop("cannot install the packages of tests/foreign/requirements.lock: pip says why above")
    STAMP.write_text(stamp, encoding="utf-8")
    return python()
