"""The Python environment of the checkout: `.dev/venv` with what requirements-dev.lock pins."""

from __future__ import annotations

import configparser
import hashlib
import html.parser
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import urllib.error
import urllib.parse
import urllib.request
import venv
from pathlib import Path

from devlib.console import Stop, call, phase
from devlib.paths import DEV, PYALGO, ROOT, VENV

LOCK = ROOT / "requirements-dev.lock"
STAMP = DEV / "venv.stamp"
PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
VENV_HINT = (
    "this Python has no ensurepip: apt install python3-venv (or set PIP_INDEX_URL, and pip comes from there)"
)


def python() -> Path:
    """The environment's interpreter."""
    return VENV / "bin" / "python"


def extension_suffix() -> str:
    """How the file name of an extension module ends here (`.cpython-311-x86_64-linux-gnu.so`)."""
    return str(sysconfig.get_config_var("EXT_SUFFIX"))


def clean_environment() -> dict[str, str]:
    """Our environment without what would lead another Python into ours."""
    dropped = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV")
    return {name: value for name, value in os.environ.items() if name not in dropped}


def ensure() -> None:
    """Makes the environment unless it already fits the lock file and the interpreter."""
    stamp = _stamp()
    if python().exists() and STAMP.exists() and STAMP.read_text(encoding="utf-8") == stamp:
        return
    with phase("python packages"):
        STAMP.unlink(missing_ok=True)
        shutil.rmtree(VENV, ignore_errors=True)
        _create()
        _install(LOCK)
        site = subprocess.check_output(
            [python(), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], text=True
        ).strip()
        (Path(site) / "pyalgo.pth").write_text(f"{PYALGO}\n", encoding="utf-8")
        command = VENV / "bin" / "pyalgo"
        command.write_text(_command(), encoding="utf-8")
        command.chmod(0o755)
        STAMP.write_text(stamp, encoding="utf-8")


def install_locked(lock: Path) -> bool:
    """Adds the packages of another lock file; false if that failed."""
    return (
        call([*_pip(), "install", "--quiet", "--require-hashes", "-r", lock], clean_environment(), ROOT) == 0
    )


def _install(lock: Path) -> None:
    if not install_locked(lock):
        raise Stop(
            f"cannot install the packages of {lock.name}: pip says why above; is a package index reachable?"
        )


def _pip() -> list[str | Path]:
    return [python(), "-m", "pip", "--disable-pip-version-check", "--no-input"]


def _command() -> str:
    """What the package's wheel would install as `pyalgo`."""
    return f'#!/bin/sh\nexec {shlex.quote(str(python()))} -m pyalgo "$@"\n'


def _stamp() -> str:
    facts = {
        "command": _command(),
        "interpreter": os.path.realpath(sys.executable),
        "version": sys.version,
        "lock": hashlib.sha256(LOCK.read_bytes()).hexdigest(),
        "place": str(ROOT),
    }
    return json.dumps(facts, sort_keys=True)


def _create() -> None:
    if importlib.util.find_spec("ensurepip") is not None and _bundled_pip_works():
        return
    shutil.rmtree(VENV, ignore_errors=True)
    venv.create(VENV, with_pip=False, symlinks=True)
    wheel = _pip_wheel()
    # A wheel is a zip file that Python can run from, so pip installs itself.
    command: list[str | Path] = [
        python(),
        wheel / "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        wheel,
    ]
    if call(command, clean_environment(), ROOT) != 0:
        raise Stop(f"cannot install pip from {wheel.name}: see the message above")


def _bundled_pip_works() -> bool:
    """Debian ships a venv module whose ensurepip is there in name only, so trying is the one test."""
    made = subprocess.run(
        [sys.executable, "-m", "venv", VENV], env=clean_environment(), capture_output=True, check=False
    )
    return made.returncode == 0


def _pip_wheel() -> Path:
    wheel = DEV / PIP_WHEEL
    if not wheel.exists():
        wheel.write_bytes(_fetch_pip_wheel())
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != PIP_SHA256:
        wheel.unlink()
        raise Stop(f"{PIP_WHEEL} of the package index does not have the pinned hash; nothing was installed")
    return wheel


def _fetch_pip_wheel() -> bytes:
    for folder in os.environ.get("PIP_FIND_LINKS", "").split():
        local = Path(folder) / PIP_WHEEL
        if local.is_file():
            return local.read_bytes()
    if importlib.util.find_spec("pip") is not None:
        # This Python has a pip, though none to put into an environment: it knows where packages come from.
        _, version, *_ = PIP_WHEEL.split("-")
        download: list[str | Path] = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command = [*download, "--dest", DEV, f"pip=={version}"]
        if call(command, clean_environment(), ROOT) == 0 and (DEV / PIP_WHEEL).exists():
            return (DEV / PIP_WHEEL).read_bytes()
    index = configured_index()
    if index is None:
        raise Stop(VENV_HINT)
    page = f"{index.rstrip('/')}/pip/"
    try:
        with urllib.request.urlopen(page, timeout=60) as reply:
            links = _Links(reply.read().decode())
        address = next(
            (link for link in links.found if urllib.parse.urlsplit(link).path.endswith(PIP_WHEEL)), None
        )
        if address is None:
            raise Stop(f"the configured package index has no {PIP_WHEEL}: apt install python3-venv")
        with urllib.request.urlopen(urllib.parse.urljoin(page, address), timeout=60) as reply:
            data: bytes = reply.read()
            return data
    except (urllib.error.URLError, TimeoutError) as error:
        raise Stop(
            f"cannot fetch pip from the configured package index ({error}): apt install python3-venv"
        ) from error


def configured_index() -> str | None:
    """The index pip is configured to use: PIP_INDEX_URL, else that of the first pip.conf that names one."""
    if index := os.environ.get("PIP_INDEX_URL"):
        return index
    home = Path(os.environ.get("HOME", "/nonexistent"))
    config_home = Path(os.environ.get("XDG_CONFIG_HOME", home / ".config"))
    files = [config_home / "pip" / "pip.conf", home / ".pip" / "pip.conf", Path("/etc/pip.conf")]
    if named := os.environ.get("PIP_CONFIG_FILE"):
        files.insert(0, Path(named))
    for file in files:
        parser = configparser.RawConfigParser()
        parser.read(file, encoding="utf-8")
        for section in ("install", "global"):
            if parser.has_option(section, "index-url"):
                return parser.get(section, "index-url")
    return None


class _Links(html.parser.HTMLParser):
    """The addresses on a page of the simple index."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]
