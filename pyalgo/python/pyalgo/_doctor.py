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
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from ._core import Operator, plain_json
from ._errors import Error
from ._exits import CONFIGURATION, TOKEN, UNREACHABLE, exit_code
from ._output import Output
from ._tables import plain

_LEAST_PYTHON = (3, 11)
_CHECK = re.compile(r"^(ok|warn|fail)\s+([\w ]+): (.*)$")
_MODE = re.compile(r"the (\w+) account, ")
_CHECK_WITHIN = 60
_FREE_LEAST, _FREE_WARN = 64 << 20, 1 << 30
_CONFIGS = ("spot.json", "usdt.json")


class Finding(NamedTuple):
    """One thing that was looked at."""

    status: str
    what: str
    words: str
    code: int = 0


Findings = Iterator[Finding]


@dataclass
class _Place:
    """What is looked at, as far as it is known."""

    asked: Namespace
    file: Path | None
    config: dict[str, Any]
    address: str | None
    market: str | None = None


def doctor(asked: Namespace, out: Output) -> int:
    """Looks at everything; the exit code is that of the first that fails."""
    findings = []
    for finding in _look(asked):
        findings.append(finding)
        if not asked.json:
            out.say(plain(f"{finding.status:<4} {finding.what}: {finding.words}"))
    failed = [finding for finding in findings if finding.status == "fail"]
    if asked.json:
        told = [{"status": f.status, "what": f.what, "words": f.words} for f in findings]
        out.say(json.dumps({"well": not failed, "findings": told}))
    return failed[0].code or 1 if failed else 0


def _look(asked: Namespace) -> Findings:
    yield _python()
    yield _package()
    file = asked.config or next((Path(name) for name in _CONFIGS if os.access(name, os.F_OK)), None)
    config = _config(file) if file else {}
    place = _Place(asked, file, config, asked.addr or _address(config))
    if file is None:
        words = f"none here ({', '.join(_CONFIGS)}): name it with -c; the gateway's own check is left out"
        yield Finding("warn", "configuration", words)
    else:
        yield from _told("gateway", _checked(place, file))
        yield from _told("disk", _disk("disk", file, config, "db", "."))
        yield from _told("log disk", _disk("log disk", file, config, "log_dir", "log"))
    if place.address is None:
        yield Finding("warn", "door", "no address to try: name it with --addr")
        return
    yield from _told("token", _token("token", _token_files(place)))
    yield from _told("operator token", _token("operator token", _operators_files(place)))
    yield from _told("door", _door(place, place.address))


def _told(what: str, findings: Findings) -> Findings:
    """What cannot be looked at is a finding, too, and nobody's reason not to look at the rest."""
    try:
        yield from findings
    except (Error, OSError, ValueError, LookupError, TypeError) as error:
        code = exit_code(error) if isinstance(error, Error) else CONFIGURATION
        yield Finding("fail", what, f"not to be looked at: {error}", code)


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
    """Named, on the PATH, or in the checkout this package lies in; not what the folder here has."""
    if asked.gateway is not None:
        return Path(asked.gateway)
    name = "usdt" if "usdt" in re.split(r"[^a-z]+", file.stem.lower()) else "spot"
    if found := shutil.which(name):
        return Path(found)
    built = Path(__file__).resolve().parents[3] / "target"
    return next(
        (folder / name for folder in (built / "release", built / "debug") if (folder / name).exists()), None
    )


def _checked(place: _Place, file: Path) -> Findings:
    """Every line of the gateway's `check`."""
    program, descriptor = _program(place.asked, file), place.asked.passphrase_fd
    if program is None:
        words = (
            "its program was not found: name it with --gateway, or put it on the PATH; nothing was checked"
        )
        yield Finding("fail", "gateway", words, UNREACHABLE)
        return
    handed = [] if descriptor is None else [f"--passphrase-fd={descriptor}"]
    try:
        done = subprocess.run(
            [program, "check", "-c", file, *handed],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_CHECK_WITHIN,
            stdin=subprocess.DEVNULL,
            pass_fds=() if descriptor is None else (descriptor,),
            # Without a terminal: one that was asked for a passphrase would stay mute after an early end.
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding("fail", "gateway", f"{program} check: {error}", UNREACHABLE)
        return
    found = [line for line in map(_CHECK.match, done.stdout.splitlines()) if line]
    for line in found:
        if line[2] == "mode" and (mode := _MODE.match(line[3])):
            place.market = mode[1]
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


def _disk(what: str, file: Path, config: dict[str, Any], key: str, default: str) -> Findings:
    """Is there room for what a gateway writes?"""
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


def _configured(place: _Place, key: str) -> Path | None:
    """A file that the configuration names."""
    given = place.config.get(key)
    return (place.file.parent if place.file else Path()) / str(given) if given else None


def _token_files(place: _Place) -> list[Path]:
    """Files the token of strategies may be in, the likeliest first."""
    if named := _configured(place, "token_file") or _variable("TRADINGSYS_TOKEN_FILE"):
        return [named]
    address = place.address or ""
    if address.startswith("unix:"):
        return [Path(address.removeprefix("unix:").removeprefix("//") + ".token")]
    port = address.rstrip("/").rpartition(":")[2]
    roots = ((_variable("XDG_RUNTIME_DIR"), "tradingsys"), (_variable("HOME"), ".tradingsys"))
    return [root / name / f"{port}.token" for root, name in roots if root]


def _variable(name: str) -> Path | None:
    return Path(value) if (value := os.environ.get(name)) else None


def _operators_file(place: _Place) -> Path | None:
    """Where the operator's token is said to be. If nothing says so, who connects looks for it."""
    door = _configured(place, "token_file")
    beside = door and door.with_name(f"operator.{door.name}")
    return place.asked.token_file or _configured(place, "operator_token_file") or beside


def _operators_files(place: _Place) -> list[Path]:
    if named := _operators_file(place) or _variable("TRADINGSYS_OPERATOR_TOKEN_FILE"):
        return [named]
    return [file.with_name(f"operator.{file.name}") for file in _token_files(place)]


def _token(what: str, files: list[Path]) -> Findings:
    """Who may read a file that opens the door?"""
    path = next((file for file in files if os.access(file, os.R_OK)), None)
    if path is None:
        tried = ", ".join(map(str, files))
        yield Finding("warn", what, f"not in {tried}, or not to be read; a gateway that runs has written it")
        return
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        yield Finding(
            "fail", what, f"{path} is open to others (mode {mode:03o}); run: chmod 600 {path}", TOKEN
        )
    else:
        yield Finding("ok", what, f"{path}, mode {mode:03o}")


def _door(place: _Place, address: str) -> Findings:
    """Is it there, and does it speak as we do?"""
    asked, file = place.asked, _operators_file(place)
    try:
        operator = Operator(address, token_file=file, ca=asked.ca, timeout=asked.timeout, name=asked.name)
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
    yield from _told("state", _state(place, operator))
    operator.close()


def _state(place: _Place, operator: Operator) -> Findings:
    """Is it the gateway that was meant, and how does it stand?"""
    status = json.loads(operator.ask("operator.status", "{}"))
    account = f"{status['market']}, install {status['install']}"
    meant = {"market": place.market, "install": place.config.get("install")}
    others = [f"{name} {value}" for name, value in meant.items() if value not in (None, status[name])]
    if others:
        words = f"another gateway answers: {account}; the configuration is of {', '.join(others)}"
        yield Finding("fail", "account", words, CONFIGURATION)
    else:
        yield Finding("ok", "account", account)
    yield Finding("ok", "limits in force", _LIMITS.get(status["limits"], status["limits"]))
    in_the_way = [f"{problem['kind']} ({problem['reason']})" for problem in status["problems"]]
    words = ", ".join(in_the_way) or status["state"]
    yield Finding("warn" if in_the_way else "ok", "state", words)


_LIMITS = {
    "configuration": "those of the configuration",
    "operator": "those the operator has set, in place of the configuration's: pyalgo limits",
}
