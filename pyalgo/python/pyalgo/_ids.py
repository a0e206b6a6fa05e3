"""Order ids, as docs/protocol.md describes them: read here without the library that mints them."""

from __future__ import annotations

from dataclasses import dataclass, replace

_DIGITS = "0123456789bcdfghjkmnpqrstvwxyz"
_AMENDS = "abdefghijk"
_INSTALL, _EPOCH, _SESSION, _COMMAND = slice(1, 6), slice(7, 12), slice(12, 16), slice(17, -1)


@dataclass(frozen=True)
class OrderId:
    """What an id says. `kind` is `o` for an order, `c` and other letters for its later names."""

    kind: str
    install: str
    epoch: int
    session: int
    command: int

    def __str__(self) -> str:
        numbers = f"{_digits(self.epoch, 5)}{_digits(self.session, 4)}-{_digits(self.command, 4)}"
        body = f"{self.kind}{self.install}-{numbers}"
        return body + _check(body)


def parse(text: str) -> OrderId | None:
    """The parts of an id that a gateway minted; `None` of any other text."""
    form = 22 <= len(text) <= 36 and text.isascii() and text[6] == "-" == text[16]
    if not form or text[0] not in "oc" + _AMENDS or text[-1] != _check(text[:-1]):
        return None
    numbers = [_number(text[part]) for part in (_EPOCH, _SESSION, _COMMAND)]
    if _number(text[_INSTALL]) is None or None in numbers:
        return None
    epoch, session, command = (number for number in numbers if number is not None)
    return OrderId(text[0], text[_INSTALL], epoch, session, command) if session < 65536 else None


def stem(text: str) -> str:
    """The order's own id, whatever later name of it this is."""
    found = parse(text)
    return str(replace(found, kind="o")) if found else text


def _number(text: str) -> int | None:
    value = 0
    for letter in text:
        digit = _DIGITS.find(letter)
        if digit < 0:
            return None
        value = value * 30 + digit
    return value


def _digits(value: int, width: int) -> str:
    text = ""
    while value:
        value, digit = divmod(value, 30)
        text = _DIGITS[digit] + text
    return text.rjust(width, "0")


def _check(body: str) -> str:
    return _DIGITS[sum(place * max(_DIGITS.find(c), 0) for place, c in enumerate(body, 1)) % 29]
