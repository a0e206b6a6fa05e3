"""Every failure on docs/reliability.md names tests that exist, or says what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from walls.evidence import ROWS, evidence_findings
from walls.planting import Plant

RUST = '#[test]\n#[should_panic(expected = "x")]\nfn it_holds() {}\n\nfn no_test() {}\n'
PYTHON = "def test_it():\n    pass\n\n\ndef helper():\n    pass\n"


def page(plant: Plant, cell: str = "`src/a.rs::it_holds`, `tests/test_a.py::test_it`", *more: str) -> Path:
    """A repository whose page has all rows, the last with that cell, and some more lines."""
    rows = [f"| {row} | failure | answer | not yet: a reason |" for row in ROWS[:-1]]
    rows += [f"| {ROWS[-1]} | failure | answer | {cell} |", *more]
    return plant({"docs/reliability.md": "\n".join(rows) + "\n", "src/a.rs": RUST, "tests/test_a.py": PYTHON})


def test_every_failure_has_its_evidence(root: Path) -> None:
    assert evidence_findings(root) == []


def test_tests_that_exist_and_reasons_are_evidence(plant: Plant) -> None:
    assert evidence_findings(page(plant)) == []
    assert evidence_findings(page(plant, "`src/a.rs::it_holds`; not yet: the rest")) == []


@pytest.mark.parametrize(
    "cell",
    [
        "`src/a.rs::no_test`",
        "`src/a.rs::it`",
        "`src/b.rs::it_holds`",
        "`tests/test_a.py::helper`",
        "`tests/test_a.py::test_other`",
        "somebody looked at it",
        "not yet",
        "`src/a.rs::it_holds`, and more",
    ],
)
def test_evidence_that_is_none_is_found(plant: Plant, cell: str) -> None:
    (finding,) = {text.partition(":")[0].partition(" ")[0] for text in evidence_findings(page(plant, cell))}
    assert finding == ROWS[-1]


def test_a_missing_row_and_one_that_is_there_twice_are_found(plant: Plant) -> None:
    twice = f"| {ROWS[0]} | failure | answer | not yet: a reason |"
    folder = page(plant, "not yet: a reason", twice)
    text = (folder / "docs" / "reliability.md").read_text().replace(f"| {ROWS[4]} |", "| Rxx |")
    (folder / "docs" / "reliability.md").write_text(text)
    assert evidence_findings(folder) == [f"{ROWS[4]} is missing", f"{ROWS[0]} is there twice"]
