"""What the reference document promises of the repository itself: its parts, its floors, its documentation."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from devlib import rust
from support.processes import program

ROOT = Path(__file__).parents[2]


def toml(path: str) -> dict[str, Any]:
    """A configuration file of the repository."""
    return tomllib.loads((ROOT / path).read_text(encoding="utf-8"))


def test_row_004_01_the_workspace_has_its_members() -> None:
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"]
    told = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    folders = {
        Path(package["manifest_path"]).parent.relative_to(ROOT).as_posix() for package in told["packages"]
    }
    assert folders == {
        ".", "runtime", "logger", "tls", "world", "fuzz", "pyalgo", "binance/wire", "binance/venue",
        "binance/spot", "binance/usdt", "binance/sim", "benches",
    }  # fmt: skip


def test_row_004_02_it_is_mit_licensed() -> None:
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    assert toml("Cargo.toml")["workspace"]["package"]["license"] == "MIT"
    assert toml("pyalgo/pyproject.toml")["project"]["license"] in ("MIT", {"text": "MIT"})


def test_row_004_06_the_rust_floor_is_declared_and_kept() -> None:
    floor = rust.required_version()
    assert floor >= (1, 80)
    said = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout
    here = re.match(r"rustc (\d+)\.(\d+)", said)
    assert here is not None and (int(here[1]), int(here[2])) >= floor[:2]


def test_row_004_07_the_python_floor_is_declared_and_there_is_no_abi3() -> None:
    assert toml("pyalgo/pyproject.toml")["project"]["requires-python"] == ">=3.11"
    assert sys.version_info >= (3, 11)
    assert "abi3" not in (ROOT / "pyalgo" / "Cargo.toml").read_text()


def test_row_004_08_the_maturin_floor_is_declared() -> None:
    build = toml("pyalgo/pyproject.toml")["build-system"]
    assert (build["requires"], build["build-backend"]) == (["maturin>=1.5.1,<2"], "maturin")


def test_row_004_10_11_28_the_readme_says_how_to_get_started() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    for page in pages:
        assert not re.search(r"^\s*url ", page.read_text(), re.MULTILINE), page
    readme = (ROOT / "README.md").read_text()
    assert re.search(r"^\s*curl .*https://sh\.rustup\.rs", readme, re.MULTILINE)
    assert "pip install maturin" in readme
    assert "Ed25519" in readme and "API key" in readme


def test_row_004_19_isolated_margin_is_never_asked_for() -> None:
    assert "isolated margin" in (ROOT / "README.md").read_text()
    for folder in ("binance/wire", "binance/venue", "binance/spot", "binance/usdt"):
        for file in (ROOT / folder).rglob("*.rs"):
            code = file.read_text().partition("#[cfg(test)]")[0]
            asked = "tests" not in file.as_posix() and re.search(
                r'"isIsolated", *"?TRUE', code, re.IGNORECASE
            )
            assert not asked, file


def test_row_004_21_cargo_makes_both_gateways() -> None:
    for name in ("spot", "usdt"):
        said = subprocess.run([program(name), "--help"], capture_output=True, text=True, check=True).stdout
        assert name in said


def test_row_004_85_the_promised_packages_are_used_and_openssl_is_not() -> None:
    locked = {package["name"] for package in toml("Cargo.lock")["package"]}
    assert {"ed25519-dalek", "tokio-tungstenite", "rusqlite"} <= locked
    assert not {"openssl", "openssl-sys", "native-tls"} & locked
    assert re.search(r"^pytest==", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE)
