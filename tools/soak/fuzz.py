"""Every parser that reads the network or a file, on inputs made of a corpus: `./dev soak fuzz --minutes 30`.

The time is shared among the targets, on all cores. What fails is kept in `.dev/fuzz`, made smaller, and
printed with the line that replays it. `--target NAME` (again for more), `--seed N`, `--list`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / ".dev" / "fuzz"
CASES = ROOT / "fuzz" / "cases"
# Beyond its time a target may make inputs smaller that fail.
PATIENCE_S = 900


@dataclass(frozen=True)
class Share:
    """One target's part of the time."""

    target: str
    seconds: int
    seed: int


def program() -> Path:
    """The program, as ./dev has built it."""
    return Path(os.environ.get("TRADINGSYS_BIN_DIR", ROOT / "target" / "debug")) / "fuzz"


def targets() -> list[str]:
    """Names of all targets."""
    told = subprocess.run([program(), "list"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [line.split()[0] for line in told.splitlines()]


def run(share: Share) -> bool:
    """Runs one target; false if an input breaks it."""
    command: list[str | Path] = [program(), "run", share.target, f"--seconds={share.seconds}"]
    command += [f"--seed={share.seed}", f"--out={OUT}", f"--cases={CASES}"]
    if nice := shutil.which("nice"):
        command = [nice, "-n", "10", *command]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=share.seconds + PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        print(f"{share.target}: did not end", flush=True)
        return False
    told = done.stdout
    if done.returncode not in (0, 1):
        told += died(share, done)
    print(told, end="", flush=True)
    return done.returncode == 0


def died(share: Share, done: subprocess.CompletedProcess[str]) -> str:
    """What to say of an input that its process did not outlive: too slow, too much memory, too deep."""
    last = OUT / f"{share.target}-{share.seed}.last"
    why = done.stderr.strip().splitlines()[-1:] or [""]
    said = f"{share.target}: ended with {done.returncode}: {why[0]}\n"
    if not last.exists():
        return said
    kept = OUT / f"{share.target}-{share.seed}-died.input"
    last.replace(kept)
    smaller = subprocess.run(
        [program(), "shrink", share.target, kept], capture_output=True, text=True, check=False
    )
    replay = f"{program()} one {share.target} {kept.with_suffix('.min')}"
    return f"{said}  {smaller.stdout.strip()}\n  replay: {replay}\n"


def main() -> int:
    """Shares the time among the targets and sums up."""
    parser = argparse.ArgumentParser(prog="./dev soak fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="all targets together, on all cores (30)")
    parser.add_argument("--target", action="append", help="only this one; may be given several times")
    parser.add_argument("--seed", type=int, default=1, help="of what is made (1)")
    parser.add_argument("--list", action="store_true", help="name the targets and what they read")
    options = parser.parse_args()
    if options.list:
        return subprocess.run([program(), "list"], check=False).returncode
    names = targets()
    if unknown := set(options.target or []) - set(names):
        print(f"no target {', '.join(sorted(unknown))}; there are: {', '.join(names)}", file=sys.stderr)
        return 2
    OUT.mkdir(parents=True, exist_ok=True)
    wanted = [name for name in names if not options.target or name in options.target]
    cores = os.cpu_count() or 1
    seconds = max(1, round(options.minutes * 60 * min(cores, len(wanted)) / len(wanted)))
    with ThreadPoolExecutor(cores) as pool:
        good = list(pool.map(run, [Share(name, seconds, options.seed) for name in wanted]))
    failed = [name for name, well in zip(wanted, good, strict=True) if not well]
    which = f": {', '.join(failed)}" if failed else ""
    print(f"fuzz: {len(wanted)} targets, {len(failed)} with failures{which}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
