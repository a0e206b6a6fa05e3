"""What tests look for in a log is something that a program can write there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from walls.planting import Plant
from walls.rust_text import product_code, product_files
from walls.text import files, rust_folders

ASKS = ("logged", "await_logged")


def asked(file: Path) -> Iterator[tuple[int, str | None]]:
    """Events that a test asks a log for; `None` where it is no literal."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ASKS:
            event = node.args[0] if node.args else None
            literal = isinstance(event, ast.Constant) and isinstance(event.value, str)
            yield node.lineno, event.value if literal else None  # type: ignore[union-attr]


def findings(root: Path) -> list[str]:
    """Events that no product code names."""
    code = "\n".join(
        product_code(path.read_text(encoding="utf-8"))
        for folder in rust_folders(root)
        for path in product_files(folder)
    )
    return [
        f"{path.relative_to(root)}:{line}: no program logs {event!r}"
        for path in files(root / "tests")
        if path.suffix == ".py"
        for line, event in sorted(asked(path))
        if event is None or f'"{event}"' not in code
    ]


def test_every_event_a_test_looks_for_is_logged_by_a_program(root: Path) -> None:
    """A test that hears nothing must not owe that to a word nobody says."""
    assert findings(root) == []


def test_an_event_that_nobody_logs_is_found(plant: Plant) -> None:
    """The wall's counter-example."""
    root = plant(
        {
            "Cargo.toml": "[package]\n",
            "src/lib.rs": 'fn f() { log("link down") }\n#[cfg(test)]\nfn g() { log("link up") }\n',
            "tests/test_it.py": 'a.logged("link down")\nnot a.logged("link up")\na.logged(429)\n'
            'a.await_logged("x")\n',
        }
    )
    assert findings(root) == [
        "tests/test_it.py:2: no program logs 'link up'",
        "tests/test_it.py:3: no program logs None",
        "tests/test_it.py:4: no program logs 'x'",
    ]
