"""Prometheus' text format 0.0.4, read strictly and by its documentation: what is not allowed is an error."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
SAMPLE = re.compile(rf"({NAME.pattern})(?:\{{(.*)\}})? (\S+)")
KINDS = ("counter", "gauge", "histogram")

Labels = frozenset[tuple[str, str]]


@dataclass
class Family:
    """All samples of a name."""

    kind: str
    help: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)


def unescaped(text: str) -> str:
    """A label's value as it was before it was written."""
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)


def labels(text: str) -> Labels:
    """`a="x",b="y"`."""
    found = {}
    rest = text
    while rest:
        match = LABEL.match(rest)
        assert match, f"no label at {rest!r}"
        assert match[1] not in found, f"{match[1]} twice in {text!r}"
        found[match[1]] = unescaped(match[2])
        rest = rest[match.end() :]
        assert rest == "" or (rest.startswith(",") and len(rest) > 1), f"no comma at {rest!r}"
        rest = rest[1:]
    return frozenset(found.items())


def family_of(name: str, kind: str) -> str:
    """The family a sample belongs to."""
    if kind == "histogram":
        for suffix in ("_bucket", "_sum", "_count"):
            if name.endswith(suffix):
                return name.removesuffix(suffix)
    return name


class Page:
    """A page that was scraped."""

    def __init__(self, text: str) -> None:
        assert text.endswith("\n") and "\r" not in text, "lines end with a line feed, the last too"
        self.families: dict[str, Family] = {}
        open_family = ""
        help_text: tuple[str, str] | None = None
        for line in text[:-1].split("\n"):
            if line.startswith("# HELP "):
                name, words = line.removeprefix("# HELP ").split(" ", 1)
                help_text = (name, words)
            elif line.startswith("# TYPE "):
                name, kind = line.removeprefix("# TYPE ").split(" ")
                assert help_text == (name, help_text[1] if help_text else ""), f"{name}: type without help"
                assert help_text is not None
                assert NAME.fullmatch(name) and kind in KINDS and name not in self.families, line
                assert (kind == "counter") == name.endswith("_total"), f"{name} is a {kind}"
                self.families[name] = Family(kind, help_text[1])
                open_family = name
            else:
                self.take(line, open_family)
        for name, family in self.families.items():
            if family.kind == "histogram":
                self.check_histogram(name, family)

    def take(self, line: str, open_family: str) -> None:
        """A sample, which must be one of the family that was begun last."""
        found = SAMPLE.fullmatch(line)
        assert found, f"no sample: {line!r}"
        family = self.families[open_family]
        assert family_of(found[1], family.kind) == open_family, f"{line!r} among {open_family}"
        key = (found[1], labels(found[2] or ""))
        assert key not in family.samples, f"twice: {line!r}"
        family.samples[key] = float(found[3])
        assert family.kind != "counter" or family.samples[key] >= 0, line

    def check_histogram(self, name: str, family: Family) -> None:
        """Its counts rise, and the last is that of all."""
        bounds = [
            (float(dict(key)["le"]), value)
            for (sample, key), value in family.samples.items()
            if sample == f"{name}_bucket"
        ]
        assert [bound for bound, _ in bounds] == sorted({bound for bound, _ in bounds}), name
        counts = [count for _, count in bounds]
        assert counts == sorted(counts) and bounds[-1][0] == float("inf"), name
        assert counts[-1] == family.samples[f"{name}_count", frozenset()], name
        assert family.samples[f"{name}_sum", frozenset()] >= 0, name

    def value(self, name: str, **labels: str) -> float:
        """One sample; 0 for a word that did not occur yet of a family that is there."""
        kinds = ("_sum", "_count", "_bucket")
        family = next(f for n, f in self.families.items() if n == name or name in [n + k for k in kinds])
        return family.samples.get((name, frozenset(labels.items())), 0.0)

    def by(self, name: str, label: str) -> dict[str, float]:
        """All samples of a family by one label."""
        return {dict(key)[label]: value for (_, key), value in self.families[name].samples.items()}

    def counters(self) -> dict[tuple[str, Labels], float]:
        """Everything that may only rise."""
        return {
            key: value
            for family in self.families.values()
            if family.kind != "gauge"
            for key, value in family.samples.items()
        }
