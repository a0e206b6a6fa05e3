"""The task `requirements`: docs/requirements.md, from the list of requirements and the names of the tests.

A test says in its name which requirements it shows: `row_004_17_49_…` shows rows 004-17 and 004-49.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from devlib.console import Stop, say
from devlib.paths import ROOT

ROWS = Path("tools") / "requirements.json"
PAGE = Path("docs") / "requirements.md"
FOLDERS = ("src", "runtime", "logger", "binance", "world", "fuzz", "pyalgo", "tests")
TEST = re.compile(
    r"^\s*(?:fn|def|async def) +(?P<name>\w*row_(?P<source>\d{3})(?P<rows>(?:_\d\d)+)(?:_\w+)?)\("
)
HEAD = """\
# Requirements

What the product must do, row by row, and which tests show it. The rows are those of the list of
requirements the product was ordered by, its source 004; "the reference" is the trading system that list
describes. The last column says where the product does otherwise than the list's wording, and why. A test
says in its name which rows it shows (`row_004_17_49_...` shows 004-17 and 004-49). This page is made by
`./dev requirements` from `tools/requirements.json` and those names; a test compares them.

| row | requirement | tests | deviation |
|---|---|---|---|
"""


def tests_by_row(root: Path) -> dict[str, list[str]]:
    """Where each row is shown: `file::test`, in the order of files."""
    found: dict[str, list[str]] = {}
    for file in sorted(_sources(root)):
        for line in file.read_text(encoding="utf-8").splitlines():
            if named := TEST.match(line):
                for row in named["rows"].split("_")[1:]:
                    place = f"{file.relative_to(root).as_posix()}::{named['name']}"
                    found.setdefault(f"{named['source']}-{row}", []).append(place)
    return found


def _sources(root: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        for suffix in ("rs", "py"):
            yield from (root / folder).rglob(f"*.{suffix}")


def page(root: Path) -> str:
    """The page as it has to be."""
    rows = json.loads((root / ROWS).read_text(encoding="utf-8"))
    tests = tests_by_row(root)
    lines = [
        f"| {row['row']} | {row['what']} | {_shown(tests.get(row['row'], [])) or row.get('missing', '')} "
        f"| {row.get('deviation', '')} |"
        for row in rows
    ]
    return HEAD + "\n".join(lines) + "\n"


def _shown(places: list[str]) -> str:
    """Tests by file: the name says what is tested."""
    by_file: dict[str, list[str]] = {}
    for place in places:
        file, name = place.split("::")
        by_file.setdefault(file, []).append(f"`{name}`")
    return "; ".join(f"{file}: {', '.join(names)}" for file, names in by_file.items())


def untested(root: Path) -> list[str]:
    """Rows no test shows, but for those the list itself calls missing; and those it wrongly calls so."""
    tests = tests_by_row(root)
    rows = json.loads((root / ROWS).read_text(encoding="utf-8"))
    return [row["row"] for row in rows if (row["row"] in tests) == ("missing" in row)]


def unknown(root: Path) -> list[str]:
    """Rows that tests name and the list has not."""
    rows = {row["row"] for row in json.loads((root / ROWS).read_text(encoding="utf-8"))}
    sources = {row[:3] for row in rows}
    return sorted(row for row in set(tests_by_row(root)) - rows if row[:3] in sources)


def run(arguments: list[str]) -> int:
    """The task `requirements`."""
    if arguments:
        raise Stop("requirements takes no arguments", 2)
    (ROOT / PAGE).write_text(page(ROOT), encoding="utf-8")
    missing = untested(ROOT)
    say(f"{PAGE}: {len(missing)} rows without a test: {', '.join(missing)}" if missing else f"{PAGE}")
    return 0
