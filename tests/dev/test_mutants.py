"""The mutants of `./dev soak mutants`: their form, and how they are put into a copy."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from devlib import mutants
from devlib.console import Stop
from devlib.mutants import Change, Mutant

PLACE = '[[mutant.change]]\nfile = "c"\nfind = "d"\nreplace = "$MUTANT"\n'


def mutant(name: str, find: str, replace: str) -> Mutant:
    return Mutant(name, "a claim", (Change("src/a.rs", find, replace),))


def test_the_mutants_of_the_repository_are_well_formed() -> None:
    found = mutants.load(mutants.FILES)
    assert len(found) >= 25
    for file in {change.file for one in found for change in one.change}:
        text = (mutants.ROOT / file).read_text(encoding="utf-8")
        rewritten = mutants.rewrite(text, file, found)
        assert "$MUTANT" not in rewritten
    for one in found:
        assert re.fullmatch(r"[a-z0-9-]+", one.name)
        assert one.claim


def test_every_change_stands_behind_its_own_switch() -> None:
    pair = [mutant("one", "a + b", "if $MUTANT { a } else { a + b }"), mutant("two", "c", "c && !$MUTANT")]
    text = mutants.rewrite("a + b; c;", "src/a.rs", pair)
    assert text == 'if crate::mutants::on("one") { a } else { a + b }; c && !crate::mutants::on("two");'


def test_other_crates_find_the_switch_in_the_core() -> None:
    one = Mutant("one", "a claim", (Change("binance/venue/src/a.rs", "a", "!$MUTANT"),))
    assert mutants.rewrite("a", "binance/venue/src/a.rs", [one]) == '!tradingsys::mutants::on("one")'


@pytest.mark.parametrize(
    ("text", "words"), [("a a", "2 times"), ("", "0 times"), ("a + b + c", "the same place")]
)
def test_a_place_is_one_mutants_own(text: str, words: str) -> None:
    finds = ("a + b", "b + c") if "+" in text else ("a", "b")
    pair = [mutant("one", finds[0], "$MUTANT"), mutant("two", finds[1], "$MUTANT")]
    with pytest.raises(Stop, match=words):
        mutants.rewrite(text, "src/a.rs", pair)


def test_the_copy_gets_the_module_of_switches(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "lib.rs").write_text("//! A crate.\n", encoding="utf-8")
    (tmp_path / "src" / "a.rs").write_text("a", encoding="utf-8")
    mutants.plant(tmp_path, [mutant("one", "a", "!$MUTANT")])
    assert (tmp_path / "src" / "a.rs").read_text(encoding="utf-8") == '!crate::mutants::on("one")'
    assert "pub mod mutants;" in (tmp_path / "src" / "lib.rs").read_text(encoding="utf-8")
    assert mutants.SWITCH in (tmp_path / "src" / "mutants.rs").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "entry",
    [
        'name = "a"\nclaim = "b"\n',
        'name = "a"\nclaim = "b"\n[[mutant.change]]\nfile = "c"\nfind = "d"\nreplace = "e"\n',
        f'name = "a"\nclaim = "b"\nodd = "c"\n{PLACE}',
        f'name = "a"\nclaim = "b"\nmasked_by = ["z"]\n{PLACE}',
    ],
)
def test_a_malformed_mutant_is_refused(tmp_path: Path, entry: str) -> None:
    (tmp_path / "x.toml").write_text(f"[[mutant]]\n{entry}", encoding="utf-8")
    with pytest.raises(Stop):
        mutants.load(tmp_path)


PROGRAM = """\
import os, sys
begin, end = map(int, sys.argv[sys.argv.index("--seeds") + 1].split(".."))
on = set(filter(None, os.environ["TRADINGSYS_MUTANTS"].split(",")))
wrong = {"partner": {2, 5}, "masked": set(), "masked,partner": {2, 4, 5}, "partner,useless": {2, 5}}
if "--losing" in sys.argv:
    wrong["lossy"] = {7}
if "--with" in sys.argv and sys.argv[sys.argv.index("--with") + 1] == "edit_row=1":
    wrong["rare"] = {6}
seeds = sorted(seed for seed in wrong.get(",".join(sorted(on)), set()) if begin <= seed < end)
if seeds:
    print(f"seed {seeds[0]} violates: a law")
    sys.exit(1)
"""


@pytest.mark.parametrize(
    ("name", "masked_by", "losing", "weather", "ends_well"),
    [
        ("masked", ("partner",), False, "", True),
        ("masked", (), False, "", False),
        ("useless", ("partner",), False, "", False),
        ("lossy", (), True, "", True),
        ("lossy", (), False, "", False),
        ("rare", (), False, "edit_row=1", True),
        ("rare", (), True, "", False),
    ],
)
def test_a_masked_mutant_dies_where_to_lack_the_other_layer_alone_violates_nothing(
    tmp_path: Path, name: str, masked_by: tuple[str, ...], losing: bool, weather: str, ends_well: bool
) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\n{PROGRAM}", encoding="utf-8")
    program.chmod(0o700)
    one = Mutant(name, "a claim", (Change("src/a.rs", "a", "$MUTANT"),), masked_by, losing, weather)
    assert mutants.judge(one, program, dict(os.environ), "0..9") is ends_well
