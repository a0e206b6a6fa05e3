"""The engine of ./dev teeth on a crate small enough to build in a moment."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from devlib import setup, teeth
from devlib.console import Stop
from devlib.teeth import Bench, Sabotage

CODE = """\
/// Doubles.
pub fn double(x: i64) -> i64 {
    x * 2
}
/// Not tested.
pub fn half(x: i64) -> i64 {
    x / 2
}
#[cfg(test)]
mod tests {
    #[test]
    fn doubles() {
        assert_eq!(super::double(4), 8);
    }
    #[test]
    fn always_red() {
        panic!();
    }
}
"""
DIES = Sabotage("triple", "double doubles", "src/lib.rs", "x * 2", "x * 3", cargo="--lib tests::doubles")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    tree = tmp_path / "tree"
    (tree / "src").mkdir(parents=True)
    manifest = '[package]\nname = "tradingsys"\nversion = "0.1.0"\nedition = "2024"\n'
    (tree / "Cargo.toml").write_text(manifest, encoding="utf-8")
    (tree / "src" / "lib.rs").write_text(CODE, encoding="utf-8")
    (tree / "test_file.py").write_text(
        'import pathlib\ndef test_it(): assert "x * 2" in pathlib.Path("src/lib.rs").read_text()\n',
        encoding="utf-8",
    )
    subprocess.run(["cargo", "generate-lockfile", "--offline"], cwd=tree, check=True, capture_output=True)
    # The features of our own crates are not there.
    monkeypatch.setattr(
        setup, "PROGRAMS_BUILD", [word for word in setup.PROGRAMS_BUILD if word != setup.FAILPOINTS]
    )
    core = Path(shutil.copytree(tree, tmp_path / "core"))
    return Bench(tree, core, tmp_path / "target", dict(os.environ))


def test_verdicts(bench: Bench) -> None:
    outcomes = bench.try_all(
        [
            DIES,
            replace(DIES, name="of-core", cargo="-p tradingsys --lib tests::doubles"),
            replace(DIES, name="as-pytest", cargo="", pytest="test_file.py::test_it"),
            replace(DIES, name="untested", find="x / 2", replace="x / 3"),
            replace(DIES, name="gone", find="x * 7"),
            replace(DIES, name="twice", find="pub fn"),
            replace(DIES, name="broken", replace="x *"),
            replace(DIES, name="no-test", cargo="--lib tests::triples"),
            replace(DIES, name="red-before", cargo="--lib tests::always_red"),
        ]
    )
    verdicts = {outcome.sabotage.name: outcome.verdict for outcome in outcomes}
    assert verdicts == {
        "triple": "red",
        "of-core": "red",
        "as-pytest": "red",
        "untested": "survived",
        "gone": "its place occurs 0 times in src/lib.rs",
        "twice": "its place occurs 2 times in src/lib.rs",
        "broken": "does not compile",
        "no-test": "no such test without the sabotage",
        "red-before": "red without the sabotage",
    }
    for tree in (bench.tree, bench.core):
        assert (tree / "src" / "lib.rs").read_text(encoding="utf-8") == CODE


def test_the_exit_code_asks_for_every_death(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    red = teeth.Outcome(DIES, "red", 1.0)
    assert teeth.report([red]) == 0
    assert teeth.report([red, teeth.Outcome(DIES, "survived", 1.0)]) == 1
    assert "1 of 2 sabotages die" in capsys.readouterr().out
    assert teeth.report([]) == 1


def test_the_sabotages_of_the_repository_are_well_formed() -> None:
    sabotages = teeth.load(teeth.FILES)
    assert sabotages
    for sabotage in sabotages:
        text = (teeth.ROOT / sabotage.file).read_text(encoding="utf-8")
        assert text.count(sabotage.find) == 1, f"{sabotage.name}: its place moved in {sabotage.file}"


@pytest.mark.parametrize(
    "entry",
    [
        'name = "a"\nclaim = "b"\n',
        'name = "a"\nclaim = "b"\nfile = "c"\nfind = "d"\nreplace = "e"\n',
        'name = "a"\nclaim = "b"\nfile = "c"\nfind = "d"\nreplace = "e"\ncargo = "f"\nodd = "g"\n',
    ],
)
def test_a_malformed_sabotage_is_refused(tmp_path: Path, entry: str) -> None:
    (tmp_path / "x.toml").write_text(f"[[sabotage]]\n{entry}", encoding="utf-8")
    with pytest.raises(Stop):
        teeth.load(tmp_path)
