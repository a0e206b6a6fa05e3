"""The public surface: names, documentation, weight."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyalgo
from pyalgo import OrderState, OrderType, Side, Tif

ROOT = Path(__file__).resolve().parents[2]


def test_row_004_50_every_public_name_is_exported_and_explained() -> None:
    explained = set(re.findall(r"`(\w+)", (ROOT / "docs" / "sdk.md").read_text()))
    assert set(pyalgo.__all__) - explained == set()
    assert pyalgo.__all__ == sorted(pyalgo.__all__)
    everything: dict[str, object] = {}
    exec("from pyalgo import *", everything)
    assert set(pyalgo.__all__) <= set(everything)


def test_every_error_class_and_its_code_are_explained() -> None:
    text = (ROOT / "docs" / "sdk.md").read_text()
    for name in pyalgo.__all__:
        found = getattr(pyalgo, name)
        if isinstance(found, type) and issubclass(found, pyalgo.Error) and found.code:
            assert re.search(rf"`{name}`[^`]*{found.code}", text), name


def test_every_member_is_explained() -> None:
    explained = set(re.findall(r"\w+", (ROOT / "docs" / "sdk.md").read_text()))
    missing = {
        f"{name}.{member}"
        for name in pyalgo.__all__
        if isinstance(found := getattr(pyalgo, name), type)
        for member in vars(found)
        if found.__module__ == "pyalgo" and not member.startswith("_") and member not in explained
    }
    assert missing == set()


def test_row_004_82_the_words_are_the_protocols() -> None:
    text = (ROOT / "src" / "market.rs").read_text()
    for enum, name in ((Side, "Side"), (OrderType, "OrderType"), (Tif, "Tif"), (OrderState, "OrderStatus")):
        block = re.search(rf"^    {name} \{{\n(.*?)^    \}}", text, re.DOTALL | re.MULTILINE)
        assert block, name
        assert [member.value for member in enum] == re.findall(r'= "(\w+)",', block[1]), name


def test_every_value_of_every_word_is_explained() -> None:
    page = (ROOT / "docs" / "sdk.md").read_text()
    words = page[page.index("## Words") : page.index("## Logging")]
    for name in ("Side", "OrderType", "Tif", "WorkingType", "OrderState", "Phase"):
        (values,) = re.findall(rf"^\| `{name}` \| (.*) \|$", words, re.MULTILINE)
        assert [member.name for member in getattr(pyalgo, name)] == re.findall(r"`(\w+)`", values)[
            : len(getattr(pyalgo, name))
        ], name


def test_the_import_is_light() -> None:
    """At most 30 MB, and nothing but the package and the standard library."""
    program = (
        "import sys; before = set(sys.modules); import pyalgo\n"
        "loaded = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*(loaded - set(sys.stdlib_module_names) - {'pyalgo'}))\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmRSS')))"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    foreign, kib = said.splitlines()
    assert foreign == ""
    assert int(kib) < 30 * 1024
