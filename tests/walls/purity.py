"""The pure crates reach no socket, disk, clock or thread: not by a dependency, not by their text."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from walls.rust_text import module_files, product_lines

PURE_CRATES = ("tradingsys", "binance-wire", "binance-venue")
IMPURE_CRATES = re.compile(r"^(tokio|rusqlite|tungstenite|reqwest|hyper|mio|socket2)(-.*)?$")
# The simulator's crate holds a pure library and, under main.rs, its shell; so the library's wall is its text.
SIMULATOR = Path("binance/sim/src/lib.rs")
IMPURE_TEXT = re.compile(
    r"\b(tokio|hyper|hyper_util|tokio_tungstenite|futures_util|socket2|mio|getrandom)::"
    r"|\bstd::(fs|net|env|process|thread)\b"
    r"|\b(Instant|SystemTime)::now\b|\bstd::time::(Instant|SystemTime)\b"
    r"|\basync\s+(fn|move|\{)|\.await\b"
)


def dependency_findings(root: Path, crates: tuple[str, ...] = PURE_CRATES) -> list[str]:
    """Crates that the pure ones must not reach."""
    findings = []
    for crate in crates:
        command = ["cargo", "tree", "--locked", "-e", "normal", "--prefix", "none", "-f", "{p}", "-p", crate]
        tree = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
        names = {line.split()[0] for line in tree.splitlines() if line}
        findings += [f"{crate} depends on {name}" for name in sorted(names) if IMPURE_CRATES.match(name)]
    return findings


def simulator_findings(root: Path) -> list[str]:
    """Lines of the simulator's library that reach the outside."""
    findings = []
    for file in sorted(module_files(root / SIMULATOR)):
        for number, line in product_lines(file.read_text(encoding="utf-8")):
            if found := IMPURE_TEXT.search(line):
                place = file.relative_to(root)
                findings.append(f"{place}:{number}: {found[0]!r} in the simulator's pure library")
    return findings
