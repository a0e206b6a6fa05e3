"""The task `teeth`: does each promise have a test that bites?

A file of tools/teeth holds sabotages: a piece of code, what to put in its place, and the test that must turn
red. Each is applied alone, on a copy of the checkout with a copy of its build, so a kill at any moment leaves
the checkout untouched. The copies keep their modification times: cargo rebuilds only what a sabotage touches.

    [[sabotage]]
    name = "check-character-ignored"
    claim = "an id with a changed character is foreign"
    file = "src/ids.rs"
    find = "check != check_char(body).to_string()"      # occurs exactly once
    replace = "false"
    cargo = "-p tradingsys --lib ids::tests::a_changed_character_is_noticed"
    # or: pytest = "tests/e2e/test_recovery.py::test_lost_reply"

A sabotage dies when its test fails; it survives when the test still passes, which fails the run. So does a
test that is red or absent without the sabotage, a `find` that is not there exactly once, and a replacement
that does not compile.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from devlib import copies, rust, setup, venv
from devlib.console import Stop, phase, say
from devlib.paths import DEV, ROOT

FILES = ROOT / "tools" / "teeth"
RED_TIMEOUT_S = 600
# Half of all sabotages are of the core and its own tests: compiling it costs more than running one of
# them. They have a copy of their own, so that the other one's build of the core stays what it is.
OF_CORE = "-p tradingsys --lib"
UNOPTIMISED = ["--config", "profile.dev.package.tradingsys.opt-level=0"]


@dataclass(frozen=True)
class Sabotage:
    """One change that some test must notice."""

    name: str
    claim: str
    file: str
    find: str
    replace: str
    cargo: str = ""
    pytest: str = ""

    @property
    def test(self) -> str:
        """The test as a user would type it."""
        return f"cargo test {self.cargo}" if self.cargo else f"pytest {self.pytest}"


@dataclass(frozen=True)
class Outcome:
    """What became of a sabotage; `red` is the one good end."""

    sabotage: Sabotage
    verdict: str
    seconds: float

    @property
    def red(self) -> bool:
        """Did the named test notice?"""
        return self.verdict == "red"


def run(arguments: list[str]) -> int:
    """All sabotages, or the named ones; exit code 1 unless every one dies."""
    sabotages = load(FILES)
    if unknown := set(arguments) - {sabotage.name for sabotage in sabotages}:
        names = ", ".join(sabotage.name for sabotage in sabotages)
        raise Stop(f"no sabotage named {', '.join(sorted(unknown))}; there are: {names}", 2)
    chosen = [sabotage for sabotage in sabotages if not arguments or sabotage.name in arguments]
    env = setup.environment()
    if not setup.build_all(env):
        return 1
    target = rust.target_dir(env)
    with phase("copy of the checkout"):
        bench = Bench(DEV / "teeth" / "tree", DEV / "teeth" / "core", DEV / "teeth" / "target", env)
        copies.copy_tree(ROOT, bench.tree)
        copies.copy_tree(ROOT, bench.core)
        copies.copy_target(target, bench.target)
    outcomes = bench.try_all(chosen)
    shutil.rmtree(DEV / "teeth", ignore_errors=True)
    return report(outcomes)


def load(folder: Path) -> list[Sabotage]:
    """The sabotages of a folder, in the order of its files."""
    found = [
        _parse(entry, file)
        for file in sorted(folder.glob("*.toml"))
        for entry in tomllib.loads(file.read_text(encoding="utf-8")).get("sabotage", [])
    ]
    names = [sabotage.name for sabotage in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise Stop(f"two sabotages named {', '.join(sorted(twice))}", 2)
    return found


def _parse(entry: dict[str, str], file: Path) -> Sabotage:
    try:
        sabotage = Sabotage(**entry)
    except TypeError as error:
        raise Stop(f"{file.name}: {entry.get('name', 'a sabotage without a name')}: {error}", 2) from error
    if bool(sabotage.cargo) == bool(sabotage.pytest):
        raise Stop(f"{file.name}: {sabotage.name} needs either cargo or pytest", 2)
    return sabotage


@dataclass
class Bench:
    """The copies on which sabotages are tried."""

    tree: Path
    core: Path
    target: Path
    env: dict[str, str]

    def try_all(self, sabotages: list[Sabotage]) -> list[Outcome]:
        """Each named test once without any sabotage, then each sabotage alone.

        In this order one build serves every whole run, and each sabotage costs one build instead of two.
        """
        named = {sabotage.test: sabotage for sabotage in sabotages}
        whole = {test: self.run_test(sabotage) for test, sabotage in named.items()}
        say(f"{len(whole)} tests without a sabotage: {list(whole.values()).count('green')} green")
        outcomes = []
        for sabotage in sabotages:
            outcome = self.try_one(sabotage, whole[sabotage.test])
            say(f"{sabotage.name}: {outcome.verdict} after {outcome.seconds:.0f} s")
            outcomes.append(outcome)
        return outcomes

    def try_one(self, sabotage: Sabotage, without: str) -> Outcome:
        """Applies one sabotage, runs its test, takes it back."""
        start = time.monotonic()
        if without != "green":
            return Outcome(sabotage, f"{without} without the sabotage", 0.0)
        file = self.tree_of(sabotage.cargo) / sabotage.file
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        if text.count(sabotage.find) != 1:
            return Outcome(
                sabotage, f"its place occurs {text.count(sabotage.find)} times in {sabotage.file}", 0.0
            )
        try:
            file.write_text(text.replace(sabotage.find, sabotage.replace), encoding="utf-8")
            verdict = self.run_test(sabotage)
        finally:
            file.write_text(text, encoding="utf-8")
        named = "survived" if verdict == "green" else verdict
        return Outcome(sabotage, named, time.monotonic() - start)

    def run_test(self, sabotage: Sabotage) -> str:
        """`green`, `red`, `does not compile` or `no such test`."""
        return self._cargo(sabotage.cargo) if sabotage.cargo else self._pytest(sabotage.pytest)

    def tree_of(self, selection: str) -> Path:
        """Where the test of that selection is run."""
        return self.core if selection.startswith(OF_CORE) else self.tree

    def _cargo(self, arguments: str) -> str:
        selection, _, filters = arguments.partition(" -- ")
        tree = self.tree_of(selection)
        command = ["cargo", "test", "--locked", *shlex.split(selection)]
        if tree == self.core:
            command += UNOPTIMISED
        if self._run([*command, "--no-run"], tree).returncode != 0:
            return "does not compile"
        done = self._run([*command, "--", *shlex.split(filters)], tree)
        ran = sum(int(count) for count in re.findall(r"^running (\d+) tests?$", done.stdout, re.MULTILINE))
        if ran == 0:
            return "no such test"
        return "green" if done.returncode == 0 else "red"

    def _pytest(self, arguments: str) -> str:
        if self._run(setup.PROGRAMS_BUILD, self.tree).returncode != 0:
            return "does not compile"
        setup.install_extension(self.target / "debug", self.tree / "pyalgo" / "python")
        # The first that is red is enough: others of the same test may wait long for what does not come.
        command = [str(venv.python()), "-m", "pytest", "-q", "-x", *shlex.split(arguments)]
        done = self._run(command, self.tree)
        if done.returncode in (4, 5):
            return "no such test"
        return "green" if done.returncode == 0 else "red"

    def _run(self, command: list[str], tree: Path) -> subprocess.CompletedProcess[str]:
        env = self.env | {
            "CARGO_TARGET_DIR": str(self.target),
            "PYTHONPATH": str(self.tree / "pyalgo" / "python"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TRADINGSYS_BIN_DIR": str(self.target / "debug"),
        }
        try:
            return subprocess.run(
                command, env=env, cwd=tree, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="replace", check=False, timeout=RED_TIMEOUT_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            # A test that never ends has noticed too; its own processes end with it.
            return subprocess.CompletedProcess(command, 1, "running 1 test\n", "")


def report(outcomes: list[Outcome]) -> int:
    """The table; exit code 1 unless all are red."""
    if not outcomes:
        say("no sabotage to try")
        return 1
    wide = max(len(outcome.sabotage.name) for outcome in outcomes)
    say("")
    for outcome in outcomes:
        mark = "dies    " if outcome.red else "SURVIVES"
        say(f"{mark}  {outcome.sabotage.name:<{wide}}  {outcome.sabotage.claim}")
        why = "" if outcome.red else f" ({outcome.verdict})"
        say(f"{'':8}  {'':<{wide}}  {outcome.sabotage.test}{why}")
    dead = sum(outcome.red for outcome in outcomes)
    say(f"\n{dead} of {len(outcomes)} sabotages die")
    return 0 if dead == len(outcomes) else 1
