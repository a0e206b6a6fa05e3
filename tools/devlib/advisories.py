"""Security advisories of the dependencies, by cargo-deny, where there is one and its database can be had.

Of itself `./dev check` contacts nobody: it takes the database that lies where cargo-deny keeps it, if there
is one. `./dev check --advisories` fetches it before, the only check that asks the network. What cannot be
looked up is reported as not checked and fails nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from devlib.console import say
from devlib.paths import ROOT

FETCH_WITHIN_S = 60
CHECK_WITHIN_S = 120
DAY_S = 86_400
FETCH = "./dev check --advisories fetches it"
# What cargo-deny says of advisories it has found; anything else it ends with is no finding.
FOUND = "advisories FAILED"


def run(env: dict[str, str], fetch: bool, patience: float = FETCH_WITHIN_S) -> bool | None:
    """Looks them up; `None` if that could not be done, and why is said."""
    program = shutil.which("cargo-deny", path=env.get("PATH"))
    if program is None:
        say("not checked: there is no cargo-deny (cargo install cargo-deny --locked)")
        return None
    try:
        return looked_up(program, env, fetch, patience)
    except subprocess.TimeoutExpired as late:
        say(f"not checked: cargo-deny did not end within {late.timeout:g} s")
        return None


def looked_up(program: str, env: dict[str, str], fetch: bool, patience: float) -> bool | None:
    """By that cargo-deny."""
    if fetch:
        fetched = said_by([program, "fetch", "db"], env, patience)
        if fetched.returncode != 0:
            say(f"not checked: the database of advisories cannot be fetched: {last_line(fetched)}")
            return None
    kept = database(env)
    if not fetch and not kept:
        say(f"not checked: there is no database of advisories in {folder(env)} ({FETCH})")
        return None
    if kept:
        days = int((time.time() - max(each.stat().st_mtime for each in kept)) / DAY_S)
        say(f"database of advisories: {days} day{'s' * (days != 1)} old{'' if fetch else f' ({FETCH})'}")
    offline = env if fetch else env | {"CARGO_NET_OFFLINE": "true"}
    found = said_by([program, "check", "--disable-fetch", "advisories"], offline, CHECK_WITHIN_S)
    if found.returncode == 0:
        return True
    print(found.stdout, found.stderr, sep="", end="", flush=True)
    if fetch or FOUND in found.stdout + found.stderr:
        return False
    say(f"not checked: cargo-deny cannot look them up: {last_line(found)}")
    return None


def folder(env: dict[str, str]) -> Path:
    """Where cargo-deny keeps its databases."""
    home = env.get("CARGO_HOME") or Path(env.get("HOME") or Path.home()) / ".cargo"
    return Path(home) / "advisory-dbs"


def database(env: dict[str, str]) -> list[Path]:
    """The databases there, each a folder that holds something; a lock beside them is none."""
    place = folder(env)
    return (
        [each for each in place.iterdir() if each.is_dir() and any(each.iterdir())] if place.is_dir() else []
    )


def said_by(command: list[str], env: dict[str, str], within: float) -> subprocess.CompletedProcess[str]:
    """Runs it."""
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=within)


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """Its last word."""
    return (done.stderr.strip().splitlines()[-1:] or ["no reason given"])[0]
