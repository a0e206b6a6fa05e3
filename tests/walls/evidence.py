"""docs/reliability.md against the tests it names."""

from __future__ import annotations

import re
from pathlib import Path

ROWS = [f"R{number:02}" for number in range(1, 64)]
ROW = re.compile(r"^\| (R\d\d) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([^`]+)::(\w+)`")
NOT_YET = re.compile(r"(?:^|; )not yet: \S")


def evidence_findings(root: Path) -> list[str]:
    """Rows without evidence or a reason, rows missing or twice, and tests that are none."""
    rows = ROW.findall((root / "docs" / "reliability.md").read_text(encoding="utf-8"))
    numbers = [number for number, *_ in rows]
    findings = [f"{row} is missing" for row in ROWS if row not in numbers]
    findings += [f"{row} is there twice" for row in sorted(set(numbers)) if numbers.count(row) > 1]
    for number, _, _, tests in rows:
        named = NAMED.findall(tests)
        if not named and not NOT_YET.search(tests):
            findings.append(f"{number} names no test and no reason")
        rest = NAMED.sub("", tests.partition("not yet:")[0]).strip(" ,;")
        if rest:
            findings.append(f"{number}: {rest!r} is no test")
        findings += [
            f"{number}: there is no test {path}::{name}" for path, name in named if _none(root / path, name)
        ]
    return findings


def _none(file: Path, name: str) -> bool:
    """Is there no test of that name in the file?"""
    if not file.is_file():
        return True
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        return not (name.startswith("test_") and re.search(rf"^def {name}\(", text, re.MULTILINE))
    return not re.search(
        rf"#\[(?:tokio::)?test\]\s*(?:#\[[^\]]*\]\s*|//[^\n]*\s*)*(?:async )?fn {name}\(", text
    )
