"""Wraps the comments of Rust sources, which stable rustfmt leaves as they are."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

WIDTH = 118
LIMIT = 120
COMMENT = re.compile(r"^(?P<start>\s*//[/!]? )(?P<text>\S.*)$")
# A line that begins a list item, table, heading, fence or link target is not joined to the line before it.
OWN_LINE = re.compile(r"^([-*|#>]|\d+\. |```|\[)")


def wrap_file(path: Path) -> bool:
    """Wraps paragraphs that have a line over the limit; true if the file changed."""
    text = path.read_text(encoding="utf-8")
    if all(len(line) <= LIMIT for line in text.splitlines()):
        return False
    wrapped = "\n".join(wrap(text.split("\n")))
    path.write_text(wrapped, encoding="utf-8")
    return wrapped != text


def wrap(lines: list[str]) -> list[str]:
    """The lines with over-long comment paragraphs broken anew; those that fit stay as they are."""
    done: list[str] = []
    at, fenced = 0, False
    while at < len(lines):
        found = COMMENT.match(lines[at])
        fenced ^= found is not None and found["text"].startswith("```")
        end = at + 1
        if found is not None and not fenced:
            while end < len(lines) and _continues(lines[end], found["start"]):
                end += 1
        paragraph = lines[at:end]
        if found is not None and not fenced and any(len(line) > LIMIT for line in paragraph):
            paragraph = _broken(paragraph, found["start"])
        done += paragraph
        at = end
    return done


def _continues(line: str, start: str) -> bool:
    found = COMMENT.match(line)
    return found is not None and found["start"] == start and not OWN_LINE.match(found["text"])


def _broken(paragraph: list[str], start: str) -> list[str]:
    words = " ".join(line.removeprefix(start) for line in paragraph)
    item = re.match(r"([-*]|\d+\.) ", words)
    indent = start + " " * (len(item[0]) if item else 0)
    return textwrap.wrap(
        words,
        WIDTH,
        initial_indent=start,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
