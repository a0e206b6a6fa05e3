"""docs/requirements.md: current, and no row without a test."""

from __future__ import annotations

from pathlib import Path

from devlib import requirements

ROOT = Path(__file__).parents[2]


def test_the_page_of_requirements_is_current() -> None:
    found = (ROOT / requirements.PAGE).read_text(encoding="utf-8")
    assert found == requirements.page(ROOT), "run ./dev requirements"


def test_every_requirement_has_a_test_named_after_it() -> None:
    assert requirements.untested(ROOT) == []


def test_every_row_a_test_names_is_on_the_list() -> None:
    assert requirements.unknown(ROOT) == []


def test_a_new_test_shows_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / requirements.ROWS).write_text(
        '[{"row": "004-01", "what": "w"}, {"row": "004-02", "what": "v"}]'
    )
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.rs").write_text("    fn row_004_01_02_it_holds() {\n// fn row_004_03_no_test\n")
    assert requirements.untested(tmp_path) == []
    assert "| 004-02 | v | src/a.rs: `row_004_01_02_it_holds` |  |" in requirements.page(tmp_path)
    (tmp_path / "src" / "a.rs").write_text("fn row_004_01_it_holds() {\n")
    assert requirements.untested(tmp_path) == ["004-02"]


def test_a_row_called_missing_is_shown_so_until_it_has_a_test(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / requirements.ROWS).write_text('[{"row": "004-01", "what": "w", "missing": "not yet: x"}]')
    assert requirements.untested(tmp_path) == []
    assert "| 004-01 | w | not yet: x |" in requirements.page(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.rs").write_text("fn row_004_01_it_holds() {\n")
    assert requirements.untested(tmp_path) == ["004-01"]
