"""Finds a Rust toolchain that runs and is new enough, or installs one into ./.toolchain."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from devlib import venv
from devlib.console import Stop, call, phase, say
from devlib.paths import ROOT, TOOLCHAIN

INSTALLER_LOCK = ROOT / "requirements-rust.lock"
C_COMPILER_HINT = (
    "no C compiler (cc): Debian, Ubuntu: apt install gcc libc6-dev; Fedora: dnf install gcc; "
    "macOS: xcode-select --install"
)


def environment() -> dict[str, str]:
    """What every cargo of ours runs with; installs Rust into the checkout where there is none.

    The same variables for every build, so that one compilation serves binaries, tests and extension.
    """
    if not any(shutil.which(name) for name in (os.environ.get("CC") or "cc", "gcc", "clang")):
        raise Stop(C_COMPILER_HINT)
    wanted = required_version()
    env = venv.clean_environment() | {
        "PYO3_PYTHON": str(venv.python()),
        # The extension takes Python's symbols from the interpreter that loads it.
        "PYO3_BUILD_EXTENSION_MODULE": "1",
        # As maturin has it: else its builds and ours would undo each other's.
        "PYO3_ENVIRONMENT_SIGNATURE": _signature(),
    }
    if env.get("CI") == "true":
        # Nothing is built there a second time: what incremental builds keep only costs.
        env.setdefault("CARGO_INCREMENTAL", "0")
    for candidate in _candidates(env):
        version = _version(candidate)
        if version is not None and version >= wanted:
            return candidate
    return _install(env, wanted)


def required_version() -> tuple[int, ...]:
    """`rust-version` of Cargo.toml."""
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    return _parse(manifest["workspace"]["package"]["rust-version"])


def metadata(env: dict[str, str], *arguments: str) -> dict[str, Any]:
    """`cargo metadata` of the workspace."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", *arguments]
    done = subprocess.run(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Stop("cargo metadata failed: see its message above", 1)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def target_dir(env: dict[str, str]) -> Path:
    """Where cargo builds (CARGO_TARGET_DIR and cargo's own configuration are honoured)."""
    return Path(metadata(env, "--no-deps")["target_directory"])


def _candidates(env: dict[str, str]) -> list[dict[str, str]]:
    homes = (
        [Path(env["CARGO_HOME"])]
        if "CARGO_HOME" in env
        else [Path(env.get("HOME", "/nonexistent")) / ".cargo"]
    )
    found = [env]
    found += [env | {"PATH": f"{home / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}"} for home in homes]
    if (TOOLCHAIN / "cargo" / "bin" / "cargo").exists():
        found.append(_own(env))
    return found


def _own(env: dict[str, str]) -> dict[str, str]:
    home = TOOLCHAIN / "cargo"
    return env | {
        "CARGO_HOME": str(home),
        "RUSTUP_HOME": str(TOOLCHAIN / "rustup"),
        "PATH": f"{home / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}",
    }


def _version(env: dict[str, str]) -> tuple[int, ...] | None:
    """The older of cargo's and rustc's version; None unless both run (rustup may have no toolchain)."""
    versions = []
    for program in ("cargo", "rustc"):
        where = shutil.which(program, path=env.get("PATH"))
        if where is None:
            return None
        asked = subprocess.run(
            [where, "--version"], env=env, capture_output=True, text=True, check=False, cwd=ROOT
        )
        said = re.match(rf"{program} (\d+\.\d+(\.\d+)?)", asked.stdout)
        if asked.returncode != 0 or said is None:
            return None
        versions.append(_parse(said[1]))
    return min(versions)


def _signature() -> str:
    bits = 64 if sys.maxsize > 2**32 else 32
    return f"{sys.implementation.name}-{sys.version_info.major}.{sys.version_info.minor}-{bits}bit"


def _parse(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _install(env: dict[str, str], wanted: tuple[int, ...]) -> dict[str, str]:
    need = f"Rust {'.'.join(map(str, wanted))} or newer is needed and none was found that runs"
    advice = "install it with rustup (https://rustup.rs) and run this again"
    if os.environ.get("DEV_NO_RUST_INSTALL") == "1":
        raise Stop(f"{need}; {advice}")
    with phase("rust toolchain"):
        say(f"{need}; trying to install it into {TOOLCHAIN.name}")
        if venv.install_locked(INSTALLER_LOCK):
            command: list[str | Path] = [venv.python(), "-m", "puccinialin", "--location", TOOLCHAIN]
            log = ROOT / ".dev" / "rust-install.log"
            with log.open("w", encoding="utf-8") as out:
                subprocess.run(command, env=env, cwd=ROOT, stdout=out, stderr=out, check=False)
            own = _own(env)
            version = _version(own)
            if version is not None and version >= wanted:
                call(["rustup", "component", "add", "clippy", "rustfmt"], own, ROOT)
                return own
    raise Stop(f"{need}, and its installer cannot be reached from here; {advice}")
