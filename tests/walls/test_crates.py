"""Crates know each other as the table says, and in no other way."""

from __future__ import annotations

from pathlib import Path

import pytest
from walls import crates
from walls.planting import Plant

WIRE = "[package]\nname = 'binance-wire'\n"
KNOWS_CORE = "[dependencies]\ntradingsys.workspace = true\nserde = '1'\n"


def workspace(plant: Plant, wire: str, shared: str = "tradingsys = { path = '.' }\n", core: str = "") -> Path:
    """A core and one crate beside it."""
    head = (
        f"[workspace]\nmembers = ['wire']\n[workspace.dependencies]\n{shared}[package]\nname = 'tradingsys'\n"
    )
    return plant({"Cargo.toml": head + core, "wire/Cargo.toml": wire})


def test_crates_know_each_other_as_the_table_says(root: Path) -> None:
    assert crates.crate_findings(root) == []


def test_every_crate_of_the_table_is_there(root: Path) -> None:
    names = {manifest["package"]["name"] for _, manifest in crates._manifests(root)}
    assert names == set(crates.KNOWS)


def test_the_edges_of_the_table_are_no_findings(plant: Plant) -> None:
    assert crates.crate_findings(workspace(plant, WIRE + KNOWS_CORE)) == []
    renamed = "[dependencies]\ncore.workspace = true\n"
    shared = "core = { path = '.', package = 'tradingsys' }\n"
    assert crates.crate_findings(workspace(plant, WIRE + renamed, shared)) == []


@pytest.mark.parametrize(
    "edge",
    [
        "[dependencies]\nbinance-wire = { path = 'wire' }\n",
        "[build-dependencies]\nbinance-wire = { path = 'wire' }\n",
        "[dev-dependencies]\nbinance-wire = { path = 'wire' }\n",
        "[dependencies]\nwire = { path = 'wire', package = 'binance-wire' }\n",
        "[target.'cfg(unix)'.dependencies]\nbinance-wire = { path = 'wire' }\n",
    ],
)
def test_an_edge_that_is_not_in_the_table_is_found(plant: Plant, edge: str) -> None:
    root = workspace(plant, WIRE + KNOWS_CORE, core=edge)
    assert crates.crate_findings(root) == ["Cargo.toml: tradingsys may not know binance-wire"]


def test_an_edge_that_is_gone_and_a_crate_nobody_knows_are_found(plant: Plant) -> None:
    assert crates.crate_findings(workspace(plant, WIRE)) == [
        "wire/Cargo.toml: binance-wire does not know tradingsys"
    ]
    stranger = WIRE.replace("binance-wire", "stranger") + KNOWS_CORE
    assert crates.crate_findings(workspace(plant, stranger)) == [
        "wire/Cargo.toml: crate stranger is not in tests/walls/crates.py"
    ]
