"""`pyalgo doctor`: what a gateway's own `check` finds, and what only the side of the strategies can see."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from ._core import Operator, plain_json
from ._errors import Error
from ._operate import TOKEN, UNREACHABLE, exit_code
from ._tables import plain

CONFIGURATION = 78
_LEAST_PYTHON = (3, 11)
_CHECK = re.compile(r"^(ok|warn|fail)\s+([\w ]+): (.*)$")
_CHECK_WITHIN = 60
_FREE_LEAST, _FREE_WARN = 64 << 20, 1 << 30
_CONFIGS = ("spot.json", "usdt.json")


class Finding(NamedTuple):
    """One thing that was looked at."""

    status: str
    what: str
    words: str
    code: int = 0


def doctor(asked: Namespace) -> int:
    """Looks at everything; the exit code is that of the first that fails."""
    findings = []
    for finding in _look(asked):
        findings.append(finding)
        if not asked.json:
            print(plain(f"{finding.status:<4} {finding.what}: {finding.words}"), flush=True)
    failed = [finding for finding in findings if finding.status == "fail"]
    if asked.json:
        told = [{"status": f.status, "what": f.what, "words": f.words} for f in findings]
        print(json.dumps({"well": not failed, "findings": told}))
    return failed[0].code or 1 if failed else 0


def _look(asked: Namespace) -> Iterator[Finding]:
    yield _python()
    yield _package()
    file = asked.config or next((Path(name) for name in _CONFIGS if Path(name).exists()), None)
    config: dict[str, Any] = {}
    if file is None:
        words = f"none here ({', '.join(_CONFIGS)}): name it with -c; the gateway's own check is left out"
        yield Finding("warn", "configuration", words)
    else:
        yield from _checked(asked, file)
        config = _config(file)
        yield from _disks(file, config)
    address = asked.addr or _address(config)
    if address is None:
        yield Finding("warn", "door", "no address to try: name it with --addr")
        return
    yield from _tokens(file, config, address)
    yield from _door(asked, file, config, address)


def _python() -> Finding:
    version, least = platform.python_version(), ".".join(map(str, _LEAST_PYTHON))
    if sys.version_info < _LEAST_PYTHON:
        return Finding("fail", "python", f"{version} is older than {least}; use a newer one", 1)
    return Finding("ok", "python", f"{version}, {sys.executable}")


def _package() -> Finding:
    return Finding("ok", "pyalgo", f"{_version() or 'not installed as a package'}, {Path(__file__).parent}")


def _version() -> str | None:
    try:
        return metadata.version("pyalgo")
    except metadata.PackageNotFoundError:
        return None


def _program(asked: Namespace, file: Path) -> Path | None:
    if asked.gateway is not None:
        return Path(asked.gateway)
    name = "usdt" if "usdt" in re.split(r"[^a-z]+", file.stem.lower()) else "spot"
    found = shutil.which(name)
    folders = (Path("target/release"), Path("target/debug"))
    return (
        Path(found)
        if found
        else next((folder / name for folder in folders if (folder / name).exists()), None)
    )


def _checked(asked: Namespace, file: Path) -> Iterator[Finding]:
    """Every line of the gateway's `check`."""
    program = _program(asked, file)
    if program is None:
        words = (
            "its program was not found: name it with --gateway, or put it on the PATH; nothing was checked"
        )
        yield Finding("fail", "gateway", words, UNREACHABLE)
        return
    try:
        done = subprocess.run(
            [program, "check", "-c", file],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CHECK_WITHIN,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding("fail", "gateway", f"{program} check: {error}", UNREACHABLE)
        return
    found = [line for line in map(_CHECK.match, done.stdout.splitlines()) if line]
    for line in found:
        yield Finding(line[1], line[2], line[3], done.returncode if line[1] == "fail" else 0)
    if done.returncode and not any(line[1] == "fail" for line in found):
        said = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        yield Finding("fail", "gateway", said[-1], done.returncode)


def _config(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(plain_json(file.read_text()))
    except (OSError, ValueError):
        # The gateway's check has said so.
        return {}
    return found if isinstance(found, dict) else {}


def _disks(file: Path, config: dict[str, Any]) -> Iterator[Finding]:
    """Is there room for what a gateway writes?"""
    for what, key, default in (("disk", "db", "."), ("log disk", "log_dir", "log")):
        folder = file.parent / str(config[key]) if key in config else Path(default)
        # What is not there yet is made on the disk of the first folder above that is.
        there = next((above for above in (folder, *folder.absolute().parents) if above.exists()), Path("/"))
        free = shutil.disk_usage(there).free
        words = f"{free / (1 << 30):.1f} GiB free for {folder}"
        if free < _FREE_LEAST:
            yield Finding("fail", what, f"{words}: without room no order is taken; free some", CONFIGURATION)
        else:
            yield Finding("warn" if free < _FREE_WARN else "ok", what, words)


def _address(config: dict[str, Any]) -> str | None:
    local = config.get("local")
    if not isinstance(local, str):
        return None
    # A door at every address is also at this machine's own.
    return re.sub(r"//(0\.0\.0\.0|\[::\]):", "//localhost:", local)


def _token_file(file: Path | None, config: dict[str, Any], address: str) -> Path | None:
    folder = file.parent if file else Path()
    if given := config.get("token_file"):
        return folder / str(given)
    if given := os.environ.get("TRADINGSYS_TOKEN_FILE"):
        return Path(given)
    if address.startswith("unix:"):
        return Path(address.removeprefix("unix:").removeprefix("//") + ".token")
    port = address.rstrip("/").rpartition(":")[2]
    roots = ((os.environ.get("XDG_RUNTIME_DIR"), "tradingsys"), (os.environ.get("HOME"), ".tradingsys"))
    return next((Path(root) / name / f"{port}.token" for root, name in roots if root), None)


def _operators_file(file: Path | None, config: dict[str, Any], address: str) -> Path | None:
    if given := config.get("operator_token_file"):
        return (file.parent if file else Path()) / str(given)
    if given := os.environ.get("TRADINGSYS_OPERATOR_TOKEN_FILE"):
        return Path(given)
    door = _token_file(file, config, address)
    return door and door.with_name(f"operator.{door.name}")


def _tokens(file: Path | None, config: dict[str, Any], address: str) -> Iterator[Finding]:
    """Who may read the files that open the door."""
    door, operators = _token_file(file, config, address), _operators_file(file, config, address)
    for what, path in (("token", door), ("operator token", operators)):
        if path is None:
            continue
        try:
            mode = path.stat().st_mode & 0o777
        except OSError as error:
            words = f"{path}: {error.strerror}; a gateway that runs has written it"
            yield Finding("warn", what, words)
            continue
        if mode & 0o077:
            yield Finding(
                "fail", what, f"{path} is open to others (mode {mode:03o}); run: chmod 600 {path}", TOKEN
            )
        else:
            yield Finding("ok", what, f"{path}, mode {mode:03o}")


def _door(asked: Namespace, file: Path | None, config: dict[str, Any], address: str) -> Iterator[Finding]:
    """Is it there, and does it speak as we do?"""
    token_file = asked.token_file or _operators_file(file, config, address)
    try:
        operator = Operator(
            address, token_file=token_file, ca=asked.ca, timeout=asked.timeout, name="pyalgo doctor"
        )
    except (Error, ValueError) as error:
        code = exit_code(error) if isinstance(error, Error) else CONFIGURATION
        yield Finding("fail", "door", str(error), code)
        return
    yield Finding("ok", "door", f"{address} answers")
    theirs, ours = operator.gateway.rpartition(" ")[2], _version()
    if ours is not None and ours != theirs:
        words = f"the gateway is {theirs}, pyalgo {ours}: install matching ones"
        yield Finding("warn", "versions", words)
    else:
        yield Finding("ok", "versions", f"gateway {operator.gateway}, pyalgo {ours or 'of this folder'}")
    status = json.loads(operator.ask("operator.status", "{}"))
    operator.close()
    in_the_way = [f"{problem['kind']} ({problem['reason']})" for problem in status["problems"]]
    words = ", ".join(in_the_way) or status["state"]
    yield Finding("warn" if in_the_way else "ok", "state", words)
