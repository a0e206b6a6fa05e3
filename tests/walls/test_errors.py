"""Every row of the catalogue of errors has a test that names it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def catalogue() -> list[tuple[str, str]]:
    """Codes and names of docs/errors.md, which a Rust test holds to the code."""
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    return re.findall(r"^\| (-\d+) \| `(\w+)`", page, re.MULTILINE)


def ways_to_name(code: str, name: str) -> str:
    """How a test names a row: its code, its name as a text, its variant. A mere word may mean anything."""
    variant = "".join(word.capitalize() for word in name.split("_"))
    return rf"{code}\b|[\"']{name}\b|\bErrorCode::{variant}\b"


def texts_of_tests() -> str:
    """All test code: the Python tests, and the Rust modules of tests."""
    texts = [
        file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("*.py") if file != Path(__file__)
    ]
    for file in (ROOT / "src").rglob("*.rs"):
        text = file.read_text(encoding="utf-8")
        if file.name == "tests.rs" or "tests" in file.parts:
            texts.append(text)
        elif "#[cfg(test)]" in text:
            texts.append(text[text.index("#[cfg(test)]") :])
    return "\n".join(texts)


def test_every_error_is_named_by_a_test() -> None:
    """A refusal nobody has ever provoked is a guess."""
    text = texts_of_tests()
    missing = [name for code, name in catalogue() if not re.search(ways_to_name(code, name), text)]
    assert len(catalogue()) > 30
    assert missing == []
