"""Sizes, unfinished work and words that do not belong in the repository."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

from walls.rust_text import product_code, product_files

# ruff holds Python to 110 characters. rustfmt holds code to 110 and leaves comments and strings alone:
# prose gets a little more room, and the line of a string that cannot be broken may be longer still.
RUST_LINE_CHARS_MAX = 120
FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
NOT_OURS = {
    ".git", ".dev", ".toolchain", "target", "demo-out", "__pycache__",
    ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis",
}  # fmt: skip
TEXT = {".rs", ".py", ".pyi", ".toml", ".md", ".json", ".in", ".sql", ".sh", ".txt", ".yml", ".html", ""}

# Written so that this very file does not match.
UNFINISHED = re.compile(r"FIX[M]E|\bXX[X]\b|\btod[o]!\(|\bunimplemente[d]!\(|\bTOD[O]\b")
MACHINE_PATH = re.compile(r"(?<![\w.~$}>])/(wor[k]|roo[t]|hom[e]/\w+|User[s]/\w+)/")
REGISTRY_HOST = re.compile(r"crates[.]i[o]\b|pypi[.]or[g]|pythonhoste[d]|debian[.]or[g]")
UNWRAP = re.compile(r"\.unwrap\(\)")
SILENCED = re.compile(r"#!?\[(?:allow|expect)\((?P<inside>[^\]]*)\)\]", re.DOTALL)


def files(root: Path) -> Iterator[Path]:
    """Text files of the repository, without what tools put there."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in NOT_OURS and not name.startswith(".venv"))
        for name in sorted(names):
            path = Path(folder) / name
            if path.suffix in TEXT and name not in NOT_OURS and not path.is_symlink():
                yield path


def rust_folders(root: Path) -> list[Path]:
    """The `src` folder of every crate."""
    manifests = (path.parent / "src" for path in files(root) if path.name == "Cargo.toml")
    return [folder for folder in manifests if folder.is_dir()]


def word_findings(root: Path) -> list[str]:
    """Unfinished work, paths of some machine, hosts of package registries."""
    rules = ((UNFINISHED, "unfinished work"), (MACHINE_PATH, "a path of one machine"))
    rules = (*rules, (REGISTRY_HOST, "the host of a package registry"))
    findings = []
    for path in files(root):
        for number, line in enumerate(_lines(path), 1):
            for pattern, what in rules:
                if found := pattern.search(line):
                    findings.append(f"{path.relative_to(root)}:{number}: {found[0]!r} is {what}")
    return findings


def line_findings(root: Path) -> list[str]:
    """Lines of Rust that are too long."""
    return [
        f"{path.relative_to(root)}:{number}: {len(line)} characters, more than {RUST_LINE_CHARS_MAX}"
        for path in files(root)
        if path.suffix == ".rs"
        for number, line in enumerate(_lines(path), 1)
        if len(line) > RUST_LINE_CHARS_MAX and '"' not in line
    ]


def size_findings(root: Path) -> list[str]:
    """Files and Python functions that are too long (clippy measures the functions of Rust)."""
    findings = []
    for folder in rust_folders(root):
        for path in product_files(folder):
            code = product_code(path.read_text(encoding="utf-8"))
            lines = len(code.rstrip().splitlines())
            findings += _too_long(path.relative_to(root), lines)
    for path in files(root):
        if path.suffix == ".py":
            text = path.read_text(encoding="utf-8")
            findings += _too_long(path.relative_to(root), len(text.splitlines()))
            findings += [
                f"{path.relative_to(root)}:{node.lineno}: {node.name} has {length} lines"
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
            ]
    return findings


def unwrap_findings(root: Path) -> list[str]:
    """`unwrap()` outside tests, also where clippy does not look (macros)."""
    return [
        f"{path.relative_to(root)}:{_line_of(code, found)}: unwrap() outside tests"
        for folder in rust_folders(root)
        for path in product_files(folder)
        for code in [product_code(path.read_text(encoding="utf-8"))]
        for found in UNWRAP.finditer(code)
    ]


def silenced_findings(root: Path) -> list[str]:
    """Lints switched off without saying why."""
    return [
        f"{path.relative_to(root)}:{_line_of(code, found)}: a lint switched off without a reason"
        for folder in rust_folders(root)
        for path in product_files(folder)
        for code in [product_code(path.read_text(encoding="utf-8"))]
        for found in SILENCED.finditer(code)
        if "reason" not in found["inside"]
    ]


def _too_long(place: Path, lines: int) -> list[str]:
    return [f"{place}: {lines} lines, more than {FILE_LINES_MAX}"] if lines > FILE_LINES_MAX else []


def _line_of(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
