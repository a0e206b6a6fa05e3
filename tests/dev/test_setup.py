"""What ./dev finds or brings on a bare machine."""

from __future__ import annotations

import ensurepip
import functools
import hashlib
import http.server
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from devlib import rust, setup, venv
from devlib.console import Stop


def program(folder: Path, name: str, body: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a C compiler and nothing else on its PATH, which this returns."""
    path = tmp_path / "bin"
    program(path, "cc", "exit 0")
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DEV_NO_RUST_INSTALL", "1")
    for name in ("CARGO_HOME", "CC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(rust, "TOOLCHAIN", tmp_path / "toolchain")
    return path


def test_no_compiler_is_said_before_any_build(bare: Path) -> None:
    (bare / "cc").unlink()
    with pytest.raises(Stop, match="apt install gcc") as stop:
        rust.environment()
    assert stop.value.code == 69


def test_no_rust_is_one_clear_line(bare: Path) -> None:
    with pytest.raises(Stop, match="rustup") as stop:
        rust.environment()
    assert stop.value.code == 69
    assert "\n" not in str(stop.value)


@pytest.mark.parametrize(
    ("cargo", "rustc"),
    [
        ("exit 1", 'echo "rustc 1.99.0 (x 2026-01-01)"'),
        ('echo "cargo 1.99.0 (x 2026-01-01)"', "echo 'no default toolchain' >&2; exit 1"),
        ('echo "cargo 1.63.0 (x 2022-01-01)"', 'echo "rustc 1.63.0 (x 2022-01-01)"'),
    ],
)
def test_a_cargo_that_does_not_run_or_is_old_counts_as_absent(bare: Path, cargo: str, rustc: str) -> None:
    program(bare, "cargo", cargo)
    program(bare, "rustc", rustc)
    with pytest.raises(Stop):
        rust.environment()


def test_the_cargo_of_cargo_home_is_found(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cargo", "rustc"):
        program(tmp_path / "bin", name, "exit 1")
        (tmp_path / "kept").mkdir(exist_ok=True)
        program(tmp_path / "kept" / "bin", name, f'echo "{name} 1.99.0 (x 2026-01-01)"')
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "kept"))
    assert rust.environment()["PATH"].split(os.pathsep)[0] == str(tmp_path / "kept" / "bin")


@pytest.mark.parametrize(("ci", "kept"), [("true", "0"), ("", None)])
def test_only_where_nothing_is_built_twice_is_nothing_kept_for_it(
    bare: Path, monkeypatch: pytest.MonkeyPatch, ci: str, kept: str | None
) -> None:
    for name in ("cargo", "rustc"):
        program(bare, name, f'echo "{name} 1.99.0 (x 2026-01-01)"')
    monkeypatch.setenv("CI", ci)
    monkeypatch.delenv("CARGO_INCREMENTAL", raising=False)
    assert rust.environment().get("CARGO_INCREMENTAL") == kept


def test_an_installer_out_of_reach_is_one_clear_line(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEV_NO_RUST_INSTALL")
    monkeypatch.setattr(venv, "install_locked", lambda lock: False)
    with pytest.raises(Stop, match="cannot be reached") as stop:
        rust.environment()
    assert stop.value.code == 69


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A package index on loopback that serves the pip this Python bundles: its address and that wheel."""
    bundled = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    page = tmp_path / "www" / "simple" / "pip"
    page.mkdir(parents=True)
    (page / bundled.name).write_bytes(bundled.read_bytes())
    (page / "index.html").write_text(f'<a href="{bundled.name}#sha256=x">pip</a>', encoding="utf-8")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Not on the test's output."""

    handler = functools.partial(Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple", bundled
        server.shutdown()
        thread.join()


@pytest.fixture
def no_ensurepip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Debian without python3-venv; returns the folder of the environment."""
    for name in ("PIP_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(venv, "DEV", tmp_path)
    monkeypatch.setattr(venv, "VENV", tmp_path / "venv")
    return tmp_path / "venv"


def test_without_ensurepip_pip_comes_from_the_configured_index(
    no_ensurepip: Path, index: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, wheel = index
    monkeypatch.setenv("PIP_INDEX_URL", address)
    monkeypatch.setattr(venv, "PIP_WHEEL", wheel.name)
    monkeypatch.setattr(venv, "PIP_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    venv._create()
    asked = [str(no_ensurepip / "bin" / "python"), "-m", "pip", "--version"]
    assert subprocess.run(asked, capture_output=True, check=False).returncode == 0


def test_a_pip_with_another_hash_is_refused(
    no_ensurepip: Path, index: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, wheel = index
    monkeypatch.setenv("PIP_INDEX_URL", address)
    monkeypatch.setattr(venv, "PIP_WHEEL", wheel.name)
    with pytest.raises(Stop, match="pinned hash"):
        venv._create()
    assert not (no_ensurepip / "bin" / "pip").exists()


def test_without_ensurepip_and_index_it_says_what_to_install(no_ensurepip: Path, tmp_path: Path) -> None:
    if venv.configured_index() is None:
        with pytest.raises(Stop, match="apt install python3-venv") as stop:
            venv._create()
        assert stop.value.code == 69


def test_the_index_of_a_pip_conf_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    conf = tmp_path / "pip.conf"
    conf.write_text("[global]\nindex-url = http://localhost:3141/simple\n", encoding="utf-8")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(conf))
    assert venv.configured_index() == "http://localhost:3141/simple"


def test_the_extension_is_replaced_whole_and_only_when_it_changed(tmp_path: Path) -> None:
    built, package = tmp_path / "debug", tmp_path / "python" / "pyalgo"
    built.mkdir()
    package.mkdir(parents=True)
    library = built / ("lib_core.dylib" if sys.platform == "darwin" else "lib_core.so")
    library.write_bytes(b"first")
    setup.install_extension(built, package.parent)
    installed = package / f"_core{venv.extension_suffix()}"
    first = installed.stat()
    setup.install_extension(built, package.parent)
    assert installed.stat().st_ino == first.st_ino
    library.write_bytes(b"second")
    setup.install_extension(built, package.parent)
    assert installed.read_bytes() == b"second"
    assert [path.name for path in package.iterdir()] == [installed.name]
