"""All benchmarks, one after the other: their tables, and one file of JSON. About a quarter of an hour."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import contain
import crowd
import fan_out
import instructions
import orders
import pauses
import private_events
import sdk
import start
import tick_to_order
from benchlib.figures import parser, settled, surroundings, table

BENCHMARKS = {
    "tick-to-order": tick_to_order.measure,
    "private-events": private_events.measure,
    "fan-out": fan_out.measure,
    "crowd": crowd.measure,
    "contain": contain.measure,
    "orders": orders.measure,
    "pauses": pauses.measure,
    "sdk": sdk.measure,
    "instructions": instructions.measure,
    "start": start.rows_of,
}


def main() -> int:
    """Measures all, one whatever became of the other."""
    made = parser("", __doc__)
    orders.options_of_ours(made)
    start.options_of_ours(made)
    options = settled(made.parse_args())
    found: dict[str, object] = {"surroundings": surroundings()}
    path = options.json or Path(".dev") / "bench.json"
    failed: list[str] = []
    for name, measure in BENCHMARKS.items():
        began = time.monotonic()
        print(f"\n## {name}\n", flush=True)
        try:
            rows = measure(options)
        except SystemExit as reason:
            failed.append(name)
            print(f"{name}: {reason}", file=sys.stderr)
            continue
        found[name] = rows
        print(table(rows), flush=True)
        print(f"\n{time.monotonic() - began:.0f} s", flush=True)
        path.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"\nwritten: {path}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
