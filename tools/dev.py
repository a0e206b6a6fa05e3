"""Behind ./dev: sets up what a fresh clone lacks, then runs one task of the project.

Standard library only, Python 3.11 or newer. The tasks live in `devlib`, one module each.
"""

from __future__ import annotations

import sys

from devlib import checks, console, formatting, lock, paths, programs, requirements, setup, teeth, testing

USAGE = """\
usage: ./dev TASK [ARGUMENT ...]

  build [--release]   set up, then build the binaries and the Python package; or the gateways for live trading
  demo [OPTION ...]   the whole system trading on the simulated exchange
  test [PATH ...]     all Rust and Python tests, or only these pytest paths and options
  check [--advisories]
                      formatting, lints, types, stubs, walls, bans and licences; advisories, if their
                      database is here; or fetched before
  teeth [NAME ...]    sabotage the code, one change at a time: the named test must turn red
  soak NAME [...]     a long run
  bench [NAME] [...]  a benchmark, of a build for release; without a name all of them
  fmt                 format Rust and Python
  requirements        write docs/requirements.md anew

Everything it installs stays inside the checkout: .dev (Python), target (Rust), .toolchain (Rust itself, only
where none was found). DEV_NO_RUST_INSTALL=1 forbids the last one.
"""

TASKS = {
    "build": setup.build,
    "demo": programs.demo,
    "test": testing.run,
    "check": checks.run,
    "teeth": teeth.run,
    "soak": programs.soak,
    "bench": programs.bench,
    "fmt": formatting.run,
    "requirements": requirements.run,
}


def main(arguments: list[str]) -> int:
    """Runs the task named first; returns its exit code."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if arguments else 2
    task = TASKS.get(arguments[0])
    if task is None:
        print(f"dev: no task {arguments[0]!r}; there are: {', '.join(TASKS)}", file=sys.stderr)
        return 2
    if arguments[0] == "demo":
        programs.demo_options(arguments[1:])
    try:
        with lock.exclusive(paths.DEV / "lock"):
            return task(arguments[1:])
    except console.Stop as stop:
        print(f"dev: {stop}", file=sys.stderr)
        return stop.code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
