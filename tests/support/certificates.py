"""Certificates for tests, made by OpenSSL."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


def make_certificate(
    folder: Path, machine_lacks: Callable[[str], NoReturn], names: str = "DNS:localhost", stem: str = "tls"
) -> Path:
    """A certificate of these names that vouches for itself, its key beside it as `.key`."""
    file = folder / f"{stem}.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "2", "-subj", "/CN=localhost", "-addext", f"subjectAltName={names}",
        "-addext", "basicConstraints=critical,CA:FALSE",
        "-keyout", str(file.with_suffix(".key")), "-out", str(file),
    ]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        machine_lacks("no openssl")
    return file
