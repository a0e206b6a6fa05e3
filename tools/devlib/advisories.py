"""Security advisories of the dependencies, by cargo-deny, where there is one and its database can be had.

The only check that asks the network, so it is asked for: `./dev check --advisories`. What cannot be looked
up is reported as not checked and fails nothing.
"""

from __future__ import annotations

import shutil
import subprocess

from devlib.console import say
from devlib.paths import ROOT

FETCH_WITHIN_S = 60
CHECK_WITHIN_S = 120


def run(env: dict[str, str], patience: float = FETCH_WITHIN_S) -> bool | None:
    """Looks them up; `None` if that could not be done, and why is said."""
    program = shutil.which("cargo-deny", path=env.get("PATH"))
    if program is None:
        say("not checked: there is no cargo-deny (cargo install cargo-deny --locked)")
        return None
    try:
        fetched = subprocess.run(
            [program, "fetch", "db"], env=env, cwd=ROOT, capture_output=True, text=True, timeout=patience
        )
        if fetched.returncode != 0:
            said = fetched.stderr.strip().splitlines()[-1:] or ["no reason given"]
            say(f"not checked: the database of advisories cannot be fetched: {said[0]}")
            return None
        found = subprocess.run(
            [program, "check", "--disable-fetch", "advisories"], env=env, cwd=ROOT, timeout=CHECK_WITHIN_S
        )
    except subprocess.TimeoutExpired as late:
        say(f"not checked: cargo-deny did not end within {late.timeout:g} s")
        return None
    return found.returncode == 0
