"""Wrapping of Rust comments."""

from __future__ import annotations

from devlib import comments

LONG = "word " * 30


def test_a_long_paragraph_is_broken_and_loses_nothing() -> None:
    before = ["    /// first line", f"    /// {LONG.strip()}", "    fn f() {}"]
    after = comments.wrap(before)
    assert all(len(line) <= comments.LIMIT for line in after)
    assert after[-1] == "    fn f() {}"
    words = " ".join(line.removeprefix("    /// ") for line in after[:-1])
    assert words == f"first line {LONG.strip()}"


def test_paragraphs_that_fit_lists_and_fences_stay() -> None:
    before = [
        "//! short",
        "//! lines",
        "//!",
        "//! - one",
        "//! - two",
        "//! ```text",
        f"//! {LONG}",
        "//! ```",
    ]
    assert comments.wrap(before) == before


def test_a_list_item_keeps_its_indent() -> None:
    after = comments.wrap([f"//! - {LONG.strip()}", "//! - two"])
    assert after[0].startswith("//! - word")
    assert after[1].startswith("//!   word")
    assert after[-1] == "//! - two"
