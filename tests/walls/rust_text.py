"""Rust source as text with its comments and its test code blanked out; every line keeps its number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

# Longest first: a comment, a string or a character, each as one token.
TOKEN = re.compile(
    r"(?P<line>//[^\n]*)"
    r"|(?P<block>/\*)"
    r"|(?P<raw>\bb?r(?P<hashes>#*)\".*?\"(?P=hashes))"
    r"|(?P<string>\"(?:\\.|[^\"\\])*\")"
    r"|(?P<char>'(?:\\[^\n]{1,10}?|[^\\'\n])')",
    re.DOTALL,
)
TEST_ITEM = re.compile(r"#\[cfg\(test\)\]")
MODULE = re.compile(r"^\s*(?:pub(?:\([a-z]+\))?\s+)?mod\s+(\w+)\s*;", re.MULTILINE)
TEST_MODULE_FILE = re.compile(r"#\[cfg\(test\)\]\s*(?:pub(?:\([a-z]+\))?\s+)?mod\s+(\w+)\s*;")


def module_files(crate_root: Path) -> Iterator[Path]:
    """The files of a crate without its test code, found as the compiler does: by `mod` declarations."""
    waiting = [crate_root]
    while waiting:
        file = waiting.pop()
        yield file
        folder = _folder_of_modules(file)
        for name in MODULE.findall(product_code(file.read_text(encoding="utf-8"))):
            waiting += [path for path in (folder / f"{name}.rs", folder / name / "mod.rs") if path.exists()]


def product_files(folder: Path) -> Iterator[Path]:
    """The .rs files under a folder that are not test code as a whole."""
    files = sorted(folder.rglob("*.rs"))
    tests = {test for file in files for test in _test_modules(file)}
    for file in files:
        if file not in tests and file.name != "tests.rs" and "tests" not in file.relative_to(folder).parts:
            yield file


def product_code(text: str) -> str:
    """The text with comments and `#[cfg(test)]` items replaced by blanks; strings stay."""
    code, shape = _without_comments(text)
    for found in TEST_ITEM.finditer(shape):
        end = _end_of_item(shape, found.end())
        code = code[: found.start()] + _blank(code[found.start() : end]) + code[end:]
    return code


def product_lines(text: str) -> Iterator[tuple[int, str]]:
    """Line numbers and lines of the product code that are not blank."""
    for number, line in enumerate(product_code(text).splitlines(), 1):
        if line.strip():
            yield number, line


def _test_modules(file: Path) -> Iterator[Path]:
    folder = _folder_of_modules(file)
    for name in TEST_MODULE_FILE.findall(file.read_text(encoding="utf-8")):
        yield folder / f"{name}.rs"
        yield folder / name / "mod.rs"


def _folder_of_modules(file: Path) -> Path:
    return file.parent if file.name in ("lib.rs", "main.rs", "mod.rs") else file.with_suffix("")


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _without_comments(text: str) -> tuple[str, str]:
    """The text without comments, and its shape: without strings too. All of the same length."""
    code, shape, at = [], [], 0
    while found := TOKEN.search(text, at):
        between = text[at : found.start()]
        end = _end_of_block_comment(text, found.start()) if found["block"] else found.end()
        token = text[found.start() : end]
        comment = found["line"] is not None or found["block"] is not None
        code += [between, _blank(token) if comment else token]
        shape += [between, _blank(token)]
        at = end
    return "".join([*code, text[at:]]), "".join([*shape, text[at:]])


def _end_of_block_comment(text: str, start: int) -> int:
    depth = 0
    for found in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return found.end()
    return len(text)


def _end_of_item(shape: str, start: int) -> int:
    depth = 0
    for found in re.compile(r"[{};]").finditer(shape, start):
        if found[0] == "{":
            depth += 1
        elif found[0] == "}":
            depth -= 1
            if depth == 0:
                return found.end()
        elif depth == 0:
            return found.end()
    return len(shape)
