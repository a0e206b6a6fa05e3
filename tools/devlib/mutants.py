"""`./dev soak mutants`: do the invariants of the world alone notice a wrong protocol?

A file of tools/mutants holds mutants: places in the product's code, and what is put there. In the replacement
`$MUTANT` stands for "is this mutant on?":

    [[mutant]]
    name = "no-sweep"
    claim = "while the link holds nothing need be compared"     # what it pretends
    masked_by = ["no-count-check"]      # another layer heals it: alone it survives, with that one off it dies
    loses_journals = true               # noticed only where journals are lost: all of its schedules do
    weather = "edit_row=500000"         # noticed only where this is frequent: its schedules have it, but for
                                        # those whose kind leaves it out (`Plan::losing`, `Plan::denying`)
    [[mutant.change]]
    file = "src/gateway/recovery.rs"
    find = "Phase::Ready if self.recovery.sweep_at"             # occurs exactly once
    replace = "Phase::Ready if !$MUTANT && self.recovery.sweep_at"

All of them are put into one copy of the checkout, each behind its own switch, and built once; the product's
own source has no switch. Each mutant is then switched on alone, and runs through schedules until an invariant
is violated. One that outlives them all fails the run, unless it says which other layer heals what it breaks:
then it must die with that layer off, in a schedule in which to lack that layer alone violates nothing.
Without any mutant nothing may be violated.
"""

from __future__ import annotations

import itertools
import re
import subprocess
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from devlib import copies, rust, setup
from devlib.console import Stop, phase, say
from devlib.paths import DEV, ROOT

FILES = ROOT / "tools" / "mutants"
SWITCH = "TRADINGSYS_MUTANTS"
SEEDS = "0..1000"
# Of an empty mailbox: a mutant may go round in circles.
TIMEOUT_S = 3_600

# Put into the copy of the core, for all crates that stand on it.
MODULE = f"""\
//! Which mutants are on.
#![allow(missing_docs, clippy::disallowed_methods)]
pub fn on(name: &str) -> bool {{
    static ON: std::sync::OnceLock<Vec<String>> = std::sync::OnceLock::new();
    let read = || {{
        let named = std::env::var("{SWITCH}").unwrap_or_default();
        named.split(',').map(str::to_owned).collect()
    }};
    ON.get_or_init(read).iter().any(|known| known == name)
}}
"""


@dataclass(frozen=True)
class Change:
    """One place in the code, and what stands there if the mutant is on."""

    file: str
    find: str
    replace: str


@dataclass(frozen=True)
class Mutant:
    """A wrong protocol."""

    name: str
    claim: str
    change: tuple[Change, ...]
    masked_by: tuple[str, ...] = ()
    loses_journals: bool = False
    weather: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """What its schedules have in common, for the program that runs them."""
        return ("--losing",) * self.loses_journals + ("--with", self.weather) * bool(self.weather)


@dataclass(frozen=True)
class Verdict:
    """How a run of schedules ended: the first seed that violated something, or none."""

    seed: int | None
    law: str
    seconds: float


def load(folder: Path) -> list[Mutant]:
    """The mutants of a folder, in the order of its files."""
    found = [
        _parse(entry, file)
        for file in sorted(folder.glob("*.toml"))
        for entry in tomllib.loads(file.read_text(encoding="utf-8")).get("mutant", [])
    ]
    names = [mutant.name for mutant in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise Stop(f"two mutants named {', '.join(sorted(twice))}", 2)
    for mutant in found:
        if unknown := set(mutant.masked_by) - set(names) | {mutant.name} & set(mutant.masked_by):
            raise Stop(f"{mutant.name} is masked by {', '.join(sorted(unknown))}: no other mutant", 2)
    return found


def _parse(entry: dict[str, object], file: Path) -> Mutant:
    name = entry.get("name", "a mutant without a name")
    try:
        places = entry.pop("change")
        masks = entry.pop("masked_by", [])
        assert isinstance(places, list) and isinstance(masks, list)
        changes = tuple(Change(**place) for place in places)
        mutant = Mutant(change=changes, masked_by=tuple(masks), **entry)  # type: ignore[arg-type]
    except (AssertionError, KeyError, TypeError) as error:
        raise Stop(f"{file.name}: {name}: {error!r}", 2) from error
    if not changes or not all("$MUTANT" in change.replace for change in changes):
        raise Stop(f"{file.name}: {name}: each change needs $MUTANT in its replacement", 2)
    return mutant


def rewrite(text: str, file: str, mutants: list[Mutant]) -> str:
    """The file with every mutant's changes in it, each behind its switch."""
    module = "crate::mutants" if file.startswith("src/") else "tradingsys::mutants"
    places = []
    for mutant in mutants:
        for change in mutant.change:
            if change.file != file:
                continue
            if text.count(change.find) != 1:
                raise Stop(f"{mutant.name}: its place occurs {text.count(change.find)} times in {file}", 1)
            begin = text.index(change.find)
            is_on = f'{module}::on("{mutant.name}")'
            replacement = change.replace.replace("$MUTANT", is_on)
            places.append((begin, begin + len(change.find), replacement, mutant.name))
    places.sort()
    for (_, end, _, one), (begin, _, _, other) in itertools.pairwise(places):
        if begin < end:
            raise Stop(f"{one} and {other} change the same place in {file}", 1)
    for begin, end, replacement, _ in reversed(places):
        text = text[:begin] + replacement + text[end:]
    return text


def plant(tree: Path, mutants: list[Mutant]) -> None:
    """Puts all mutants, and their switch, into a copy of the checkout."""
    for file in sorted({change.file for mutant in mutants for change in mutant.change}):
        path = tree / file
        if not path.exists():
            raise Stop(f"no file {file}", 1)
        path.write_text(rewrite(path.read_text(encoding="utf-8"), file, mutants), encoding="utf-8")
    (tree / "src" / "mutants.rs").write_text(MODULE, encoding="utf-8")
    root = tree / "src" / "lib.rs"
    root.write_text(root.read_text(encoding="utf-8") + "\npub mod mutants;\n", encoding="utf-8")


def run(names: list[str], seeds: str) -> int:
    """All mutants, or the named ones; exit code 1 unless each ends as its file says."""
    mutants = load(FILES)
    if unknown := set(names) - {mutant.name for mutant in mutants}:
        known = ", ".join(mutant.name for mutant in mutants)
        raise Stop(f"no mutant named {', '.join(sorted(unknown))}; there are: {known}", 2)
    chosen = [mutant for mutant in mutants if not names or mutant.name in names]
    env = setup.environment()
    program = build(env, mutants)
    try:
        for options in dict.fromkeys([(), *(mutant.options for mutant in chosen)]):
            whole = schedules(program, env, (), seeds, options)
            kind = " ".join((seeds, *options))
            if whole.seed is not None:
                say(f"without any mutant seed {whole.seed} of {kind} violates: {whole.law}")
                return 1
            say(f"without any mutant: clean over seeds {kind}, {whole.seconds:.0f} s")
        good = [judge(mutant, program, env, seeds) for mutant in chosen]
    finally:
        program.unlink(missing_ok=True)
    say(f"\n{sum(good)} of {len(good)} mutants end as they must")
    return 0 if all(good) else 1


def build(env: dict[str, str], mutants: list[Mutant]) -> Path:
    """The program with all mutants in it."""
    tree, target = DEV / "mutants" / "tree", DEV / "mutants" / "target"
    with phase("copy of the checkout"):
        copies.copy_tree(ROOT, tree)
        if not target.exists():
            copies.copy_target(rust.target_dir(env), target)
        plant(tree, mutants)
    # An assertion of the core's own would stop a mutant before an invariant sees it.
    command = ["cargo", "build", "--locked", "--package", "tradingsys-world"]
    command += ["--config", "profile.dev.package.tradingsys.debug-assertions=false"]
    with phase("build with all mutants"):
        done = subprocess.run(command, env=env | {"CARGO_TARGET_DIR": str(target)}, cwd=tree, check=False)
    if done.returncode != 0:
        raise Stop("the mutants do not compile", 1)
    return target / "debug" / "tradingsys-world"


def schedules(
    program: Path, env: dict[str, str], on: tuple[str, ...], seeds: str, options: tuple[str, ...]
) -> Verdict:
    """Runs schedules with these mutants on until the first violation."""
    begun = time.monotonic()
    command = [str(program), "--seeds", seeds, "--first", *options]
    done = subprocess.run(
        command, env=env | {SWITCH: ",".join(on)}, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, errors="replace", check=False, timeout=TIMEOUT_S,
    )  # fmt: skip
    took = time.monotonic() - begun
    if done.returncode == 0:
        return Verdict(None, "", took)
    if found := re.search(r"^seed (\d+) violates: (.*)$", done.stdout, re.MULTILINE):
        return Verdict(int(found[1]), found[2], took)
    raise Stop(f"the program ended with {done.returncode}: {done.stderr[-500:]}", 1)


def judge(mutant: Mutant, program: Path, env: dict[str, str], seeds: str) -> bool:
    """Runs one mutant, prints its line, and says whether it ended as it must."""
    options = mutant.options
    alone = schedules(program, env, (mutant.name,), seeds, options)
    line(mutant.name, alone, may_live=bool(mutant.masked_by))
    if alone.seed is not None or not mutant.masked_by:
        return alone.seed is not None
    begin, end = (int(bound) for bound in seeds.split(".."))
    pair = Verdict(begin - 1, "", 0.0)
    while pair.seed is not None:
        pair = schedules(program, env, (mutant.name, *mutant.masked_by), f"{pair.seed + 1}..{end}", options)
        if pair.seed is not None:
            this = f"{pair.seed}..{pair.seed + 1}"
            if schedules(program, env, mutant.masked_by, this, options).seed is None:
                break
    line(f"  and {', '.join(mutant.masked_by)}", pair, may_live=False)
    return pair.seed is not None


def line(name: str, verdict: Verdict, may_live: bool) -> None:
    """One line of the table."""
    died = verdict.seed is not None
    mark = "        " if died or may_live else "WRONG   "
    end = f"seed {verdict.seed}: {verdict.law}" if died else "survives"
    say(f"{mark}{name:<44} {end} ({verdict.seconds:.0f} s)")
