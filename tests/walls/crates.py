"""Which crate of the workspace knows which: what each `Cargo.toml` depends on, against the table."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# A new edge is a change of this table and of ARCHITECTURE.md, hence seen in review. Tests may know more.
KNOWS: dict[str, set[str]] = {
    "tradingsys": set(),
    "tradingsys-logger": set(),
    "tradingsys-tls": set(),
    "binance-wire": {"tradingsys"},
    "binance-venue": {"tradingsys", "binance-wire"},
    "binance-sim": {"tradingsys", "binance-wire", "tradingsys-logger"},
    "tradingsys-runtime": {"tradingsys", "tradingsys-logger", "tradingsys-tls"},
    "binance-spot": {"tradingsys-runtime", "binance-venue"},
    "binance-usdt": {"tradingsys-runtime", "binance-venue"},
    "pyalgo": {"tradingsys", "tradingsys-tls"},
    "tradingsys-bench": {"tradingsys"},
    "tradingsys-world": {"tradingsys", "binance-wire", "binance-venue", "binance-sim"},
    "tradingsys-fuzz": {
        "tradingsys",
        "tradingsys-runtime",
        "tradingsys-world",
        "binance-wire",
        "binance-sim",
    },
}
KNOWN_BY_TESTS: dict[str, set[str]] = {"binance-venue": {"binance-sim"}}


def crate_findings(root: Path) -> list[str]:
    """Edges that are not in the table, edges of the table that are not there, and crates it does not have."""
    manifests = dict(_manifests(root))
    ours = {manifest["package"]["name"] for manifest in manifests.values()}
    shared = manifests["Cargo.toml"]["workspace"].get("dependencies", {})
    findings = []
    for place, manifest in manifests.items():
        name = manifest["package"]["name"]
        if name not in KNOWS:
            findings.append(f"{place}: crate {name} is not in tests/walls/crates.py")
            continue
        for kinds, table in (
            (("dependencies", "build-dependencies"), KNOWS),
            (("dev-dependencies",), KNOWN_BY_TESTS),
        ):
            known = _known(manifest, kinds, shared) & ours
            allowed = table.get(name, set())
            findings += [f"{place}: {name} may not know {other}" for other in sorted(known - allowed)]
            findings += [f"{place}: {name} does not know {other}" for other in sorted(allowed - known)]
    return findings


def _manifests(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    workspace = tomllib.loads((root / "Cargo.toml").read_text(encoding="utf-8"))
    yield "Cargo.toml", workspace
    for member in workspace["workspace"]["members"]:
        place = f"{member}/Cargo.toml"
        yield place, tomllib.loads((root / place).read_text(encoding="utf-8"))


def _known(manifest: dict[str, Any], kinds: tuple[str, ...], shared: dict[str, Any]) -> set[str]:
    """The packages a manifest depends on, by their own names, on whatever platform."""
    known = set()
    for part in (manifest, *manifest.get("target", {}).values()):
        for kind in kinds:
            for key, spec in part.get(kind, {}).items():
                said = [spec, shared.get(key)] if isinstance(spec, dict) else []
                renamed = (each["package"] for each in said if isinstance(each, dict) and "package" in each)
                known.add(next(renamed, key))
    return known
