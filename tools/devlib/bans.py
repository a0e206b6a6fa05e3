"""Banned crates, licences and sources of the dependencies: deny.toml held against `cargo metadata`, offline.

deny.toml is in cargo-deny's own format, so whoever has cargo-deny can run it on the same file; this reads the
part that needs no network and no further program. Anything in the file that is not understood is an error,
so that no rule is believed to hold that nobody checks.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterable
from typing import Any

from devlib import rust
from devlib.console import say
from devlib.paths import ROOT

UNDERSTOOD = {
    "licenses": {"allow", "private"},
    "bans": {"deny", "wildcards"},
    "sources": {"unknown-registry", "unknown-git", "allow-git"},
    "advisories": {"yanked"},
}


def run(env: dict[str, str]) -> bool:
    """Checks the workspace; prints each finding."""
    rules = tomllib.loads((ROOT / "deny.toml").read_text(encoding="utf-8"))
    compiler = subprocess.run(["rustc", "-vV"], env=env, capture_output=True, text=True, check=True).stdout
    host = re.search(r"^host: (.+)$", compiler, re.MULTILINE)
    only_host = ["--filter-platform", host[1]] if host else []
    metadata = rust.metadata(env, *only_host)
    used = {node["id"] for node in metadata["resolve"]["nodes"]}
    packages = [package for package in metadata["packages"] if package["id"] in used]
    findings = judge(rules, packages)
    for finding in findings:
        say(finding)
    if not findings:
        say(f"{len(packages)} packages: none banned, all licences allowed, all from the registry or here")
    return not findings


def judge(rules: dict[str, Any], packages: Iterable[dict[str, Any]]) -> list[str]:
    """Every way in which the packages break the rules."""
    findings = [
        f"deny.toml: [{section}] {key} is not understood by tools/devlib/bans.py"
        for section, keys in rules.items()
        for key in keys
        if key not in UNDERSTOOD.get(section, set())
    ]
    banned = {entry["crate"]: entry.get("reason", "banned") for entry in rules["bans"]["deny"]}
    allowed = set(rules["licenses"]["allow"])
    registries = set()
    for package in packages:
        name = f"{package['name']} {package['version']}"
        source = package["source"]
        if package["name"] in banned:
            findings.append(f"{name} is banned: {banned[package['name']]}")
        if source is not None and not source.startswith("registry+"):
            findings.append(f"{name} comes from {source}, not from the registry")
        elif source is not None:
            registries.add(source)
        if source is not None and not licence_allowed(package["license"] or "", allowed):
            findings.append(f"{name} has the licence {package['license']!r}, which deny.toml does not allow")
        if source is None:
            findings += wildcards(package)
    if len(registries) > 1:
        findings.append(f"packages come from {len(registries)} registries, not from one")
    return findings


def wildcards(package: dict[str, Any]) -> list[str]:
    """Dependencies of a package of ours that name no version."""
    return [
        f"{package['name']} depends on {dependency['name']} without a version"
        for dependency in package["dependencies"]
        if dependency["req"] == "*" and dependency["source"] is not None
    ]


def licence_allowed(expression: str, allowed: set[str]) -> bool:
    """Can this SPDX expression be satisfied with allowed licences only? (`MIT/Apache-2.0` is an old OR.)"""
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    if not tokens:
        return False
    value, rest = _any_of(tokens, allowed)
    return value and not rest


def _any_of(tokens: list[str], allowed: set[str]) -> tuple[bool, list[str]]:
    value, tokens = _all_of(tokens, allowed)
    while tokens and tokens[0] == "OR":
        other, tokens = _all_of(tokens[1:], allowed)
        value = value or other
    return value, tokens


def _all_of(tokens: list[str], allowed: set[str]) -> tuple[bool, list[str]]:
    value, tokens = _one(tokens, allowed)
    while tokens and tokens[0] == "AND":
        other, tokens = _one(tokens[1:], allowed)
        value = value and other
    return value, tokens


def _one(tokens: list[str], allowed: set[str]) -> tuple[bool, list[str]]:
    if not tokens:
        return False, tokens
    if tokens[0] == "(":
        value, rest = _any_of(tokens[1:], allowed)
        return (value, rest[1:]) if rest[:1] == [")"] else (False, rest)
    if tokens[1:2] == ["WITH"]:
        return " ".join(tokens[:3]) in allowed, tokens[3:]
    return tokens[0] in allowed, tokens[1:]
