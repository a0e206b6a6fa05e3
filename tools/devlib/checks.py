"""The task `check`: everything that is judged without running the product."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from devlib import advisories, bans, setup, venv
from devlib.console import Stop, call, phase, say
from devlib.paths import PYALGO, ROOT


def run(arguments: list[str]) -> int:
    """Runs every check, also after one has failed, and names the failed ones at the end."""
    if arguments not in ([], ["--advisories"]):
        raise Stop("check takes no argument but --advisories", 2)
    env = setup.environment()

    def program(*command: str | Path) -> Callable[[], bool]:
        return lambda: call(command, env, ROOT) == 0

    def module(*command: str | Path) -> Callable[[], bool]:
        return program(venv.python(), "-m", *command)

    def clippy(*options: str) -> Callable[[], bool]:
        selection = ("--workspace", "--all-targets", "--locked", *options)
        return program("cargo", "clippy", *selection, "--", "-D", "warnings")

    steps: list[tuple[str, Callable[[], bool]]] = [
        ("rustfmt", program("cargo", "fmt", "--all", "--check")),
        ("ruff check", module("ruff", "check", "--quiet", ".")),
        ("ruff format", module("ruff", "format", "--quiet", "--check", ".")),
        ("walls", module("pytest", "-q", "tests/walls")),
        ("bans, licences, sources", lambda: bans.run(env)),
        ("mypy", module("mypy", "--strict", *typed())),
        ("clippy", clippy()),
        ("clippy with failpoints", clippy(setup.FAILPOINTS)),
    ]
    if (PYALGO / "pyalgo" / "__init__.py").exists():
        steps.append(("build", lambda: setup.build_all(env)))
        steps.append(("stubtest", module("mypy.stubtest", "pyalgo", *stubtest_options())))
    failed = []
    for name, step in steps:
        with phase(name):
            if not step():
                failed.append(name)
    with phase("advisories"):
        if advisories.run(env, fetch=bool(arguments)) is False:
            failed.append("advisories")
    say(f"check: {', '.join(failed)} failed" if failed else f"check: all {len(steps)} passed")
    return 1 if failed else 0


def typed() -> list[Path]:
    """What mypy must accept in its strict mode: tools, package and stubs, examples, benchmarks."""
    places = [ROOT / "tools", PYALGO / "pyalgo", ROOT / "examples", ROOT / "benches"]
    return [place for place in places if any(place.rglob("*.py")) or any(place.rglob("*.pyi"))]


def stubtest_options() -> list[str]:
    """Names stubtest may not find, where there is a list of them."""
    allowed = ROOT / "pyalgo" / "stubtest-allow.txt"
    return ["--allowlist", str(allowed)] if allowed.exists() else []
