"""The tasks that hand over to a program of the repository: `demo`, `soak NAME`, `bench NAME`."""

from __future__ import annotations

from pathlib import Path

from demolib import options

from devlib import setup, venv
from devlib.console import Stop, call
from devlib.paths import ROOT


def demo(arguments: list[str]) -> int:
    """Builds, then runs tools/demo.py."""
    return _run(ROOT / "tools" / "demo.py", arguments)


def demo_options(arguments: list[str]) -> None:
    """Ends with help or a usage error before anything waits or is built."""
    options.parse(arguments)


def soak(arguments: list[str]) -> int:
    """Builds, then runs tools/soak/NAME.py."""
    return _named(ROOT / "tools" / "soak", "soak", arguments)


def bench(arguments: list[str]) -> int:
    """Builds as one trades, then runs benches/NAME.py; all of them without a name."""
    if not arguments or arguments[0].startswith("-"):
        arguments = ["all", *arguments]
    program = _program(ROOT / "benches", "bench", arguments)
    env = setup.environment()
    if not setup.build_benched(env):
        return 1
    return call([venv.python(), program, *arguments[1:]], setup.bench_environment(env), ROOT)


def _named(folder: Path, task: str, arguments: list[str]) -> int:
    return _run(_program(folder, task, arguments), arguments[1:])


def _program(folder: Path, task: str, arguments: list[str]) -> Path:
    names = sorted(path.stem.replace("_", "-") for path in folder.glob("[a-z]*.py"))
    if not arguments or arguments[0] not in names:
        asked = f"no {task} named {arguments[0]!r}" if arguments else f"{task} needs a name"
        raise Stop(f"{asked}; there are: {', '.join(names) or 'none yet'}", 2)
    return folder / f"{arguments[0].replace('-', '_')}.py"


def _run(program: Path, arguments: list[str]) -> int:
    if not program.exists():
        raise Stop(f"{program.relative_to(ROOT)} is not there", 2)
    env = setup.environment()
    if not setup.build_all(env):
        return 1
    return call([venv.python(), program, *arguments], setup.test_environment(env), ROOT)
