"""Bans, licences and sources of the dependencies."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from devlib import bans

RULES = tomllib.loads((Path(__file__).resolve().parents[2] / "deny.toml").read_text(encoding="utf-8"))
REGISTRY = "registry+https://example.org/index"


def package(
    name: str = "serde", licence: str | None = "MIT", source: str | None = REGISTRY
) -> dict[str, Any]:
    return {"name": name, "version": "1.0.0", "license": licence, "source": source, "dependencies": []}


def test_ordinary_packages_pass() -> None:
    assert bans.judge(RULES, [package(), package("tradingsys", None, None)]) == []


@pytest.mark.parametrize(
    "name", ["bincode", "rustls-pemfile", "openssl-sys", "tokio-uring", "atty", "rustdecimal"]
)
def test_a_banned_crate_is_found(name: str) -> None:
    assert len(bans.judge(RULES, [package(name)])) == 1


@pytest.mark.parametrize(
    "found",
    [
        package(licence="GPL-3.0-only"),
        package(licence=None),
        package(source="git+https://example.org/serde"),
    ],
)
def test_a_foreign_licence_or_source_is_found(found: dict[str, Any]) -> None:
    assert len(bans.judge(RULES, [found])) == 1


def test_a_second_registry_is_found() -> None:
    assert len(bans.judge(RULES, [package(), package(source="registry+https://example.com/other")])) == 1


def test_a_dependency_without_a_version_is_found() -> None:
    ours = package("tradingsys", None, None)
    ours["dependencies"] = [{"name": "serde", "req": "*", "source": REGISTRY}]
    assert len(bans.judge(RULES, [ours])) == 1


def test_a_rule_nobody_checks_is_found() -> None:
    assert len(bans.judge(RULES | {"bans": RULES["bans"] | {"multiple-versions": "deny"}}, [])) == 1


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("GPL-3.0-only/Apache-2.0", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR GPL-3.0-only) AND Unicode-3.0", True),
        ("ISC AND (GPL-2.0-only OR LGPL-2.1-or-later)", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("(MIT", False),
        ("", False),
    ],
)
def test_licence_expressions(expression: str, allowed: bool) -> None:
    assert bans.licence_allowed(expression, set(RULES["licenses"]["allow"])) is allowed
