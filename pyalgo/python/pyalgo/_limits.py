"""Limits as the operator writes them: a whole file, or single values by their path."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from ._core import plain_json

_WHOLE = ("open_orders", "orders_per_second", "rejects_per_minute")
_SCOPES = ("account", "session", "sessions")
_SELF_TRADE = "refuse_self_trade"


class WrongLimit(ValueError):
    """A path or a value that cannot be meant."""


def changed(limits: Any, file: Path | None, given: list[str], taken: list[str]) -> Any:
    """The limits of the file, or those there are, with these values set and those taken away."""
    limits = _read(file) if file else copy.deepcopy(limits)
    for path in taken:
        _take(limits, path, _parts(path))
    for text in given:
        path, equals, value = text.partition("=")
        if not equals:
            raise WrongLimit(f"--set {text!r}: write PATH=VALUE, e.g. session.open_orders=5")
        _put(limits, path, _parts(path), value)
    return limits


def _read(file: Path) -> Any:
    try:
        found = json.loads(plain_json(file.read_text()))
    except (OSError, ValueError) as error:
        raise WrongLimit(f"{file}: {error}") from None
    # A whole configuration has them under their key.
    return found["limits"] if isinstance(found, dict) and "limits" in found else found


def _parts(path: str) -> list[str]:
    parts = path.strip().split(".")
    least = 1 if parts[0] == _SELF_TRADE else 3 if parts[0] == "sessions" else 2
    if (parts[0] not in _SCOPES and parts[0] != _SELF_TRADE) or not all(parts) or len(parts) < least:
        raise WrongLimit(
            f"{path!r} is no path of a limit: account.LIMIT, session.LIMIT, sessions.NUMBER.LIMIT, each with "
            f".SYMBOL or .ASSET where it is by those, or {_SELF_TRADE}"
        )
    return parts


def _put(limits: Any, path: str, parts: list[str], text: str) -> None:
    here = limits
    for part in parts[:-1]:
        here = here.setdefault(part, {})
        if not isinstance(here, dict):
            raise WrongLimit(f"{path!r}: {part} is no object, but {json.dumps(here)}")
    here[parts[-1]] = _value(path, parts[-1], text)


def _value(path: str, key: str, text: str) -> Any:
    try:
        if text.startswith(("{", "[")):
            return json.loads(text)
        if key in _WHOLE:
            return int(text)
    except ValueError as error:
        raise WrongLimit(f"{path}={text}: {error}") from None
    if key == _SELF_TRADE:
        if text not in ("true", "false"):
            raise WrongLimit(f"{path}={text}: it is true or false")
        return text == "true"
    return [name for name in text.split(",") if name] if key == "symbols" else text


def _take(limits: Any, path: str, parts: list[str]) -> None:
    here = limits
    for part in parts[:-1]:
        here = here.get(part, {}) if isinstance(here, dict) else {}
    if not isinstance(here, dict) or parts[-1] not in here:
        raise WrongLimit(f"--unset {path}: there is no such limit")
    by_name = len(parts) > (3 if parts[0] == "sessions" else 2)
    if by_name and len(here) == 1:
        # Without a name it would forbid everything; is that meant, or that there be no such limit?
        whole = ".".join(parts[:-1])
        raise WrongLimit(f"--unset {path}: it is the only one of {whole}; take that away, or set it to 0")
    del here[parts[-1]]
