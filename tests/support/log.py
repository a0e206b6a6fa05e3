"""A gateway's log as events with fields. In its text a number looked for may stand in any time or price."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LINE = re.compile(r"\[\S+ (?P<target>\S+) (?P<level>[A-Z]+)\] (?P<text>.*)")
FIELD = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|\S*)')


@dataclass(frozen=True)
class Line:
    """`[time target LEVEL] event key=value …`."""

    target: str
    level: str
    event: str
    fields: dict[str, str]
    text: str


def unquoted(value: str) -> str:
    """A field's value as it was before it was written."""
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def lines(text: str) -> Iterator[Line]:
    """All whole lines; what is none of the log's, as a panic's words, is passed over."""
    for line in text.splitlines(keepends=True):
        found = LINE.fullmatch(line.rstrip("\n"))
        if found is None or not line.endswith("\n"):
            continue
        first = FIELD.search(found["text"])
        event = found["text"][: first.start()] if first else found["text"]
        fields = {name: unquoted(value) for name, value in FIELD.findall(found["text"][len(event) :])}
        yield Line(found["target"], found["level"], event, fields, found["text"])


def told(text: str, event: str, *words: str, **fields: str) -> list[Line]:
    """Lines of that event that have these fields, and these words in some field."""
    return [
        line
        for line in lines(text)
        if line.event == event
        and fields.items() <= line.fields.items()
        and all(any(word in value for value in line.fields.values()) for word in words)
    ]
