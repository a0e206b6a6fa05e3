"""Sizes, unfinished work, words that do not belong in the repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from walls import text
from walls.planting import Plant

CRATE = {"Cargo.toml": "[package]\n"}
RULES = [
    text.word_findings,
    text.line_findings,
    text.size_findings,
    text.unwrap_findings,
    text.silenced_findings,
]


@pytest.mark.parametrize("rule", RULES)
def test_the_repository_keeps_the_rule(root: Path, rule: Callable[[Path], list[str]]) -> None:
    assert rule(root) == []


@pytest.mark.parametrize("rule", RULES)
def test_ordinary_code_keeps_every_rule(plant: Plant, rule: Callable[[Path], list[str]]) -> None:
    code = """\
        //! A module.
        // Never call unwrap() here: `.unwrap()` hides why.
        #[allow(clippy::float_cmp, reason = "compared with a constant")]
        fn f() -> &'static str { "{" }
        #[cfg(test)]
        mod tests {
            #[test]
            fn t() { Some(1).unwrap(); }
        }
    """
    assert rule(plant(CRATE | {"src/lib.rs": code})) == []


@pytest.mark.parametrize(
    "line",
    [
        "// FIX" + "ME: later",
        "fn f() { to" + "do!() }",
        "fn f() { un" + 'implemented!("soon") }',
        'const KEYS: &str = "/ro' + 'ot/keys";',
        'const DATA: &str = "/ho' + 'me/ann/data";',
        "// from crates" + ".io",
        "# https://pypi" + ".org/simple",
    ],
)
def test_a_word_that_does_not_belong_is_found(plant: Plant, line: str) -> None:
    assert len(text.word_findings(plant({"notes.md": "fine\n" + line + "\n"}))) == 1


def test_a_long_line_is_found(plant: Plant) -> None:
    assert text.line_findings(plant({"a.rs": "x" * 120 + "\n" + "y" * 121 + "\n"})) == [
        "a.rs:2: 121 characters, more than 120"
    ]


def test_a_long_file_is_found(plant: Plant) -> None:
    findings = text.size_findings(plant(CRATE | {"src/a.rs": "fn f() {}\n" * 801, "b.py": "x = 1\n" * 801}))
    assert findings == ["src/a.rs: 801 lines, more than 800", "b.py: 801 lines, more than 800"]


def test_tests_do_not_make_a_file_long(plant: Plant) -> None:
    tests = "#[cfg(test)]\nmod tests {\n" + "    fn f() {}\n" * 900 + "}\n"
    assert text.size_findings(plant(CRATE | {"src/a.rs": "fn f() {}\n" * 700 + tests})) == []


def test_a_long_python_function_is_found(plant: Plant) -> None:
    assert text.size_findings(plant({"a.py": "def f() -> None:\n" + "    pass\n" * 70})) == [
        "a.py:1: f has 71 lines"
    ]


def test_an_unwrap_is_found(plant: Plant) -> None:
    code = 'fn f() {\n    let url = "http://x"; g().unwrap();\n}\n'
    assert text.unwrap_findings(plant(CRATE | {"src/a.rs": code})) == ["src/a.rs:2: unwrap() outside tests"]


def test_a_silenced_lint_without_a_reason_is_found(plant: Plant) -> None:
    code = "#[allow(dead_code)]\nfn f() {}\n#![expect(\n    clippy::cast_lossless,\n)]\n"
    assert len(text.silenced_findings(plant(CRATE | {"src/a.rs": code}))) == 2
