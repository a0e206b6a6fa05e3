"""The core's modules import to the left only, and know neither modes nor venues."""

from __future__ import annotations

from pathlib import Path

import pytest
from walls import layers
from walls.planting import Plant


def test_modules_import_to_the_left(root: Path) -> None:
    assert layers.layer_findings(root) == []


def test_no_module_of_the_core_knows_its_mode(root: Path) -> None:
    assert layers.mode_findings(root) == []


def test_no_module_of_the_core_names_a_venue(root: Path) -> None:
    assert layers.venue_findings(root) == []


@pytest.mark.parametrize(
    "text",
    [
        "use crate::gateway::Gateway;\n",
        "pub fn f() -> crate::order::State { todo() }\n",
        "use super::ledger::Ledger;\n",
        "use crate::{\n    ids::{Asset, Symbol},\n    venue::port::Venue,\n};\n",
        "use crate :: gateway;\nuse crate::instrument;\n",
    ],
)
def test_an_import_to_the_right_or_beside_is_found(plant: Plant, text: str) -> None:
    assert layers.layer_findings(plant({"src/instrument.rs": text})) != []


def test_a_deep_super_is_found(plant: Plant) -> None:
    root = plant({"src/order/request.rs": "use super::super::gateway::Gateway;\nuse super::state::State;\n"})
    assert layers.layer_findings(root) == [
        "src/order/request.rs:1: order may not use gateway, which is not to its left"
    ]


def test_a_module_without_a_layer_is_found(plant: Plant) -> None:
    assert len(layers.layer_findings(plant({"src/shortcuts.rs": "//! Anything.\n"}))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "use crate::num::Price;\nuse crate::instrument::{Instrument, InstrumentStatus};\n",
        "// use crate::gateway::Gateway;\n/* crate::gateway */\n",
        "//! [`crate::gateway`] drives this.\n",
        "use super::state::State;\nuse crate::order::table::Table;\n",
        "#[cfg(test)]\nmod tests {\n    use crate::gateway::Gateway;\n    const BRACE: char = '{';\n}\n",
        "macro_rules! m { () => { $crate::gateway::f() } }\n",
    ],
)
def test_other_mentions_are_no_imports(plant: Plant, text: str) -> None:
    assert layers.layer_findings(plant({"src/order/request.rs": text})) == []


@pytest.mark.parametrize("word", ["paper", "Backtest", "dry_run", "is_live", "simulated"])
def test_a_mode_is_found(plant: Plant, word: str) -> None:
    root = plant({"src/session/seat.rs": f'fn f(mode: &str) -> bool {{\n    mode == "{word}"\n}}\n'})
    assert len(layers.mode_findings(root)) == 1


def test_a_comment_or_the_exchange_may_speak_of_simulation(plant: Plant) -> None:
    files = {"src/session/seat.rs": "// also in a backtest\n", "src/exchange/book.rs": "struct Simulated;\n"}
    assert layers.mode_findings(plant(files)) == []


def test_a_venue_in_the_core_is_found(plant: Plant) -> None:
    root = plant({"src/venue/kind.rs": "enum Venue {\n    Binance,\n}\n"})
    assert layers.venue_findings(root) == ["src/venue/kind.rs:2: the core names the venue 'Binance'"]
