"""What comes from outside: advisories where they can be had, and Python packages by their hashes alone."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from devlib import advisories

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ["requirements-dev.lock", "requirements-rust.lock", "tests/foreign/requirements.lock"]
PINNED = re.compile(r"^[A-Za-z0-9._-]+(\[[a-z0-9,_-]+\])?==\S+")


def environment(folder: Path, script: str | None) -> dict[str, str]:
    """A search path with that cargo-deny alone, or none."""
    if script is not None:
        program = folder / "cargo-deny"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}:/usr/bin:/bin" if script is not None else str(folder)}


@pytest.mark.parametrize(
    ("script", "outcome", "words"),
    [
        (None, None, "not checked: there is no cargo-deny"),
        (
            "echo no route >&2; exit 1",
            None,
            "not checked: the database of advisories cannot be fetched: no route",
        ),
        ('[ "$1" = fetch ] && exec sleep 30', None, "not checked: cargo-deny did not end within 0.5 s"),
        ('[ "$1" = fetch ]', False, ""),
        ('[ "$1 $2" = "fetch db" ] || [ "$*" = "check --disable-fetch advisories" ]', True, ""),
    ],
    ids=["not installed", "no network", "hangs", "an advisory", "none"],
)
def test_r72_advisories_are_looked_up_or_said_not_to_be(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], script: str | None, outcome: bool | None, words: str
) -> None:
    patience = 0.5 if "0.5 s" in words else 120
    assert advisories.run(environment(tmp_path, script), patience=patience) is outcome
    assert words in capfd.readouterr().out


@pytest.mark.parametrize("name", LOCKS)
def test_r72_every_python_package_is_pinned_by_hash(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) >= 1
    for line in lines:
        assert PINNED.match(line) and "--hash=sha256:" in line, line
        assert "://" not in line and not line.startswith("-"), line
