"""What the core's modules may know: layers, and nothing about modes or venues."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from walls.rust_text import product_code, product_files, product_lines

# A module imports only from layers to its left; a new edge is a change of this table, hence seen in review.
LAYERS = (
    ("num", "ids", "time", "jsonc"),
    ("market",),
    ("instrument",),
    ("journal",),
    ("book", "order", "ledger"),
    ("wire",),
    ("session", "venue", "limits"),
    ("exchange", "client"),
    ("gateway",),
)
LAYER = {module: number for number, layer in enumerate(LAYERS) for module in layer}
# Modes differ in what is plugged in; below the composition root nobody can ask which it is.
MODE_BLIND = ("book", "order", "ledger", "journal", "wire", "session", "venue", "limits", "client", "gateway")
MODE = re.compile(r"paper|backtest|dry_?run|is_?live|simulat", re.IGNORECASE)
# Adding a venue is a new folder, so no code of the core names one.
VENUE = re.compile(r"binance|kraken|bybit", re.IGNORECASE)

CRATE_PATH = re.compile(r"(?<!\$)\bcrate\s*::\s*(\w+|\{)")
SUPER_PATH = re.compile(r"\b((?:super::)+)(\w+|\{)")


def layer_findings(root: Path) -> list[str]:
    """Imports that do not point to the left."""
    findings = []
    for file in product_files(root / "src"):
        place = file.relative_to(root / "src")
        module = place.parts[0].removesuffix(".rs")
        if module == "lib":
            continue
        if module not in LAYER:
            findings.append(f"src/{place}: module {module} has no layer in tests/walls/layers.py")
            continue
        text = product_code(file.read_text(encoding="utf-8"))
        for line, other in _references(text, place):
            if other != module and LAYER.get(other, len(LAYERS)) >= LAYER[module]:
                findings.append(f"src/{place}:{line}: {module} may not use {other}, which is not to its left")
    return findings


def mode_findings(root: Path) -> list[str]:
    """Words of modes in modules that must not know theirs."""
    return [
        f"src/{place}:{number}: {found[0]!r} in a module that is blind to modes"
        for place, number, line in _core_lines(root, MODE_BLIND)
        if (found := MODE.search(line))
    ]


def venue_findings(root: Path) -> list[str]:
    """Names of venues in the core."""
    return [
        f"src/{place}:{number}: the core names the venue {found[0]!r}"
        for place, number, line in _core_lines(root, tuple(LAYER))
        if (found := VENUE.search(line))
    ]


def _core_lines(root: Path, modules: tuple[str, ...]) -> Iterator[tuple[Path, int, str]]:
    for file in product_files(root / "src"):
        place = file.relative_to(root / "src")
        if place.parts[0].removesuffix(".rs") in modules:
            for number, line in product_lines(file.read_text(encoding="utf-8")):
                yield place, number, line


def _references(text: str, place: Path) -> Iterator[tuple[int, str]]:
    """Line numbers and names of the core's modules that a text names by `crate::` or `super::`."""
    depth = len(place.parts) - (1 if place.name == "mod.rs" else 0)
    for found in CRATE_PATH.finditer(text):
        yield from _named(text, found, found[1])
    for found in SUPER_PATH.finditer(text):
        # Inside an inline module `super` reaches less far; it then names no module of the core.
        if found[1].count("super") >= depth:
            yield from ((line, name) for line, name in _named(text, found, found[2]) if name in LAYER)


def _named(text: str, found: re.Match[str], first: str) -> Iterator[tuple[int, str]]:
    line = text.count("\n", 0, found.start()) + 1
    if first != "{":
        yield line, first
        return
    # `use crate::{a, b::{c, d}}`: the names at depth one.
    depth, names, expect = 1, [], True
    for token in re.finditer(r"[{},]|\w+", text[found.end() :]):
        match token[0]:
            case "{":
                depth += 1
            case "}":
                depth -= 1
            case ",":
                expect = depth == 1
                continue
            case name if depth == 1 and expect:
                names.append(name)
        expect = False
        if depth == 0:
            break
    yield from ((line, name) for name in names)
