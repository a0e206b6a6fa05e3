"""From a fresh clone to built binaries and an importable `pyalgo`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from devlib import rust, venv
from devlib.console import Stop, call, phase, say
from devlib.paths import BENCH, PLAIN, PYALGO, ROOT

# Named places at which tests make a gateway die: in all that is built here, in nothing that is released.
FAILPOINTS = "--features=tradingsys-runtime/failpoints"
# One command for binaries, tests, benches and extension, so that cargo compiles nothing twice.
BUILD = ["cargo", "build", "--workspace", "--all-targets", "--locked", FAILPOINTS]
# What of it tests in Python run.
PROGRAMS_BUILD = ["cargo", "build", "--workspace", "--lib", "--bins", "--locked", FAILPOINTS]
# The gateways as they are released: the shell once more, everything below it is the same.
PLAIN_BUILD = ["cargo", "build", "--workspace", "--bin=spot", "--bin=usdt", "--locked"]
RELEASE_BUILD = [*PLAIN_BUILD, "--release"]
# What benchmarks run, without failpoints: of the libraries only the Python extension is used as such.
BENCHED = ("spot", "usdt", "binance-sim", "bench-wire")
BENCH_BUILD = [
    "cargo",
    "build",
    "--workspace",
    "--lib",
    *(f"--bin={name}" for name in BENCHED),
    "--locked",
    "--release",
]


def environment() -> dict[str, str]:
    """Provides Python packages and Rust; returns the environment for cargo and for our programs."""
    venv.ensure()
    return rust.environment()


def build(arguments: list[str]) -> int:
    """The task `build`; with `--release` the gateways as one trades with them."""
    if arguments not in ([], ["--release"]):
        raise Stop("build takes no argument but --release", 2)
    env = environment()
    if arguments:
        with phase("cargo build --release (the first time takes several minutes)"):
            return call(RELEASE_BUILD, env, ROOT)
    if not build_all(env):
        return 1
    say(f"binaries: {binaries(env)}")
    say(f"python:   {venv.python()}")
    return 0


def build_all(env: dict[str, str], cwd: Path = ROOT) -> bool:
    """Builds all and puts the extension where Python finds it; false if something does not compile."""
    target = rust.target_dir(env)
    first = "" if (target / "debug").exists() else " (the first time takes several minutes)"
    with phase(f"cargo build{first}"):
        if call(BUILD, env, cwd) != 0:
            return False
    install_extension(target / "debug", cwd / PYALGO.relative_to(ROOT))
    return True


def build_plain(env: dict[str, str]) -> bool:
    """Builds the gateways without failpoints and keeps them aside, for the test that there are none."""
    with phase("cargo build, the gateways without failpoints"):
        if call(PLAIN_BUILD, env, ROOT) != 0:
            return False
    PLAIN.mkdir(parents=True, exist_ok=True)
    for name in ("spot", "usdt"):
        shutil.copy2(binaries(env) / name, PLAIN / name)
    return True


def build_benched(env: dict[str, str]) -> bool:
    """Builds what benchmarks run, for release, and a copy of the Python package with that extension."""
    with phase("cargo build --release (the first time takes several minutes)"):
        if call(BENCH_BUILD, env, ROOT) != 0:
            return False
    without_extension = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(PYALGO, BENCH, ignore=without_extension, dirs_exist_ok=True)
    install_extension(rust.target_dir(env) / "release", BENCH)
    return True


def bench_environment(env: dict[str, str]) -> dict[str, str]:
    """What benchmarks find beside cargo's variables."""
    return env | {"TRADINGSYS_BIN_DIR": str(rust.target_dir(env) / "release"), "PYTHONPATH": str(BENCH)}


def binaries(env: dict[str, str]) -> Path:
    """The folder with `spot` and `binance-sim`."""
    return rust.target_dir(env) / "debug"


def install_extension(built: Path, python_source: Path) -> None:
    """Puts the built cdylib into the package under the name this interpreter imports.

    Cargo built it together with everything else; letting maturin build it again would compile it twice.
    """
    library = built / ("lib_core.dylib" if sys.platform == "darwin" else "lib_core.so")
    package = python_source / "pyalgo"
    if not package.is_dir() or not library.exists():
        return
    destination = package / f"_core{venv.extension_suffix()}"
    if destination.exists():
        old, new = destination.stat(), library.stat()
        if (old.st_mtime_ns, old.st_size) == (new.st_mtime_ns, new.st_size):
            return
    # Renamed into place, because a strategy may be running with the old one.
    partial = destination.with_suffix(".partial")
    shutil.copy2(library, partial)
    partial.replace(destination)


def test_environment(env: dict[str, str]) -> dict[str, str]:
    """What tests and scenarios find beside cargo's variables."""
    return env | {"TRADINGSYS_BIN_DIR": str(binaries(env))}
