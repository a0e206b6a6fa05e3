"""The pure crates reach no socket, disk, clock or thread."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from walls import purity, text
from walls.planting import Plant

SHELLS = ("runtime", "logger", "pyalgo", "binance/spot", "benches", "fuzz")
IMPURE_LINES = {
    "std::time::Instant::now": "let _ = std::time::Instant::now();",
    "std::time::SystemTime::now": "let _ = std::time::SystemTime::now();",
    "std::thread::spawn": "let _ = std::thread::spawn(|| ());",
    "std::thread::sleep": "std::thread::sleep(std::time::Duration::ZERO);",
    "std::env::var": 'let _ = std::env::var("HOME");',
    "std::fs::read": 'let _ = std::fs::read("pos.db");',
    "std::fs::write": 'let _ = std::fs::write("pos.db", "");',
    "std::fs::File": 'let _ = std::fs::File::open("pos.db");',
    "std::net::TcpStream": 'let _ = std::net::TcpStream::connect("localhost:8111");',
    "std::collections::HashMap": "let _ = std::collections::HashMap::<u8, u8>::new();",
    "std::collections::HashSet": "let _ = std::collections::HashSet::<u8>::new();",
}


def test_pure_crates_depend_on_no_shell(root: Path) -> None:
    assert purity.dependency_findings(root) == []


def test_an_impure_dependency_is_found(plant: Plant) -> None:
    manifest = '[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2024"\n'
    root = plant(
        {
            "Cargo.toml": manifest.format(name="pure") + '[dependencies]\nbetween = { path = "between" }\n',
            "src/lib.rs": "",
            "between/Cargo.toml": manifest.format(name="between")
            + '[dependencies]\ntokio-tungstenite = { path = "../sockets" }\n',
            "between/src/lib.rs": "",
            "sockets/Cargo.toml": manifest.format(name="tokio-tungstenite"),
            "sockets/src/lib.rs": "",
        }
    )
    subprocess.run(["cargo", "generate-lockfile", "--offline"], cwd=root, check=True, capture_output=True)
    assert purity.dependency_findings(root, ("pure",)) == ["pure depends on tokio-tungstenite"]


def test_the_simulators_library_is_pure(root: Path) -> None:
    assert purity.simulator_findings(root) == []


@pytest.mark.parametrize(
    "line",
    [
        "use tokio::net::TcpStream;",
        "use std::fs;",
        "let now = std::time::Instant::now();",
        "async fn serve() {}",
        "use hyper::body::Incoming;",
    ],
)
def test_the_outside_in_the_simulators_library_is_found(plant: Plant, line: str) -> None:
    source = "binance/sim/src"
    files = {f"{source}/{name}.rs": f"{line}\n" for name in ("desk", "desk/till", "shell", "tests")}
    files[f"{source}/desk.rs"] = "mod till;\n"
    files[f"{source}/lib.rs"] = "pub mod desk;\n#[cfg(test)]\nmod tests;\n"
    files[f"{source}/main.rs"] = f"mod shell;\n{line}\n"
    findings = purity.simulator_findings(plant(files))
    assert [finding.split(":")[0] for finding in findings] == [f"{source}/desk/till.rs"]


def test_clippy_refuses_clocks_files_and_hash_order(root: Path, plant: Plant) -> None:
    """The real clippy.toml of the core on a crate that does all it must not."""
    said = clippy(plant, root / "clippy.toml")
    missed = [name for name in IMPURE_LINES if f"`{name}`" not in said]
    assert missed == [], said


@pytest.mark.parametrize("shell", SHELLS)
def test_the_bans_end_at_the_shells(root: Path, plant: Plant, shell: str) -> None:
    assert clippy(plant, root / shell / "clippy.toml") == ""


def test_the_walled_crates_have_no_settings_of_their_own(root: Path) -> None:
    """Clippy takes the nearest clippy.toml, so one inside a walled crate would lift its wall."""
    own = {str(path.parent.relative_to(root)) for path in text.files(root) if path.name == "clippy.toml"}
    assert own == {".", *SHELLS}


def clippy(plant: Plant, settings: Path) -> str:
    """What the lints of the wall say about a crate of the forbidden lines."""
    body = "".join(f"    {line}\n" for line in IMPURE_LINES.values())
    manifest = """
        [package]
        name = "impure"
        version = "0.1.0"
        edition = "2024"
        [lints.clippy]
        disallowed_methods = "deny"
        disallowed_types = "deny"
    """
    folder = plant({"Cargo.toml": manifest, "src/lib.rs": f"pub fn reach() {{\n{body}}}\n"})
    shutil.copy(settings, folder / "clippy.toml")
    env = {name: value for name, value in os.environ.items() if name != "CARGO_TARGET_DIR"}
    command = ["cargo", "clippy", "--quiet", "--offline"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False).stderr
