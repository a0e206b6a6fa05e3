"""What comes from outside: advisories where they can be had, and Python packages by their hashes alone."""

from __future__ import annotations

import os
import re
import stat
import time
from pathlib import Path

import pytest
from devlib import advisories

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ["requirements-dev.lock", "requirements-rust.lock", "tests/foreign/requirements.lock"]
PINNED = re.compile(r"^[A-Za-z0-9._-]+(\[[a-z0-9,_-]+\])?==\S+")


# Of advisories, in cargo-deny's words; and any other trouble.
FOUND = 'echo "advisories FAILED" >&2; exit 1'
BROKEN = 'echo "no such index" >&2; exit 1'
OFFLINE = '[ "$CARGO_NET_OFFLINE $*" = "true check --disable-fetch advisories" ]'


def environment(folder: Path, script: str | None) -> dict[str, str]:
    """A search path with that cargo-deny alone, or none, and a place for its databases."""
    if script is not None:
        program = folder / "cargo-deny"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    path = f"{folder}:/usr/bin:/bin" if script is not None else str(folder)
    return {"PATH": path, "CARGO_HOME": str(folder / "cargo")}


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
        (f'[ "$1" = fetch ] && exit; {FOUND}', False, "advisories FAILED"),
        (f'[ "$1" = fetch ] && exit; {BROKEN}', False, "no such index"),
        ('[ "$1 $2" = "fetch db" ] || [ "$*" = "check --disable-fetch advisories" ]', True, ""),
    ],
    ids=["not installed", "no network", "hangs", "an advisory", "something broke", "none"],
)
def test_r72_advisories_are_looked_up_or_said_not_to_be(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], script: str | None, outcome: bool | None, words: str
) -> None:
    patience = 0.5 if "0.5 s" in words else 120
    assert advisories.run(environment(tmp_path, script), fetch=True, patience=patience) is outcome
    assert words in capfd.readouterr().out


@pytest.mark.parametrize(
    ("there", "script", "outcome", "words"),
    [
        (False, "exit 0", None, "not checked: there is no database of advisories in"),
        (True, None, None, "not checked: there is no cargo-deny"),
        (True, OFFLINE, True, "database of advisories: 3 days old (./dev check --advisories fetches it)"),
        (True, FOUND, False, "advisories FAILED"),
        (True, BROKEN, None, "not checked: cargo-deny cannot look them up: no such index"),
    ],
    ids=["no database", "not installed", "none", "an advisory", "something broke"],
)
def test_r72_a_database_of_advisories_that_is_here_is_looked_at_without_a_network(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    there: bool,
    script: str | None,
    outcome: bool | None,
    words: str,
) -> None:
    place = tmp_path / "cargo" / "advisory-dbs"
    place.mkdir(parents=True)
    (place / "db.lock").touch()
    if there:
        database = place / "advisory-db-1234"
        (database / "crates").mkdir(parents=True)
        then = time.time() - 3.5 * advisories.DAY_S
        os.utime(database, (then, then))
    assert advisories.run(environment(tmp_path, script), fetch=False) is outcome
    assert words in capfd.readouterr().out


@pytest.mark.parametrize("name", LOCKS)
def test_r72_every_python_package_is_pinned_by_hash(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) >= 1
    for line in lines:
        assert PINNED.match(line) and "--hash=sha256:" in line, line
        assert "://" not in line and not line.startswith("-"), line
