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
        found = _json(plain_json(file.read_text()))
    except (OSError, ValueError) as error:
        raise WrongLimit(f"{file}: {error}") from None
    # A whole configuration has them under their key.
    limits = found["limits"] if isinstance(found, dict) and "limits" in found else found
    if not isinstance(limits, dict):
        raise WrongLimit(f"{file}: limits are an object")
    # A configuration without limits names its key, among other things: that is for no one else to see.
    for name in limits:
        if name not in (*_SCOPES, _SELF_TRADE):
            scopes = ", ".join((*_SCOPES, _SELF_TRADE))
            raise WrongLimit(f"{file}: {name!r} is no part of limits: they are {scopes}; nothing was sent")
    return limits


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_single)


def _single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} is there twice: which one holds?")
        found[name] = value
    return found


def _parts(path: str) -> list[str]:
    parts = path.strip().split(".")
    least = 1 if parts[0] == _SELF_TRADE else 2
    if (parts[0] not in _SCOPES and parts[0] != _SELF_TRADE) or not all(parts) or len(parts) < least:
        raise WrongLimit(
            f"{path!r} is no path of a limit: account.LIMIT, session.LIMIT, sessions.NUMBER.LIMIT, each with "
            f".SYMBOL or .ASSET where it is by those, or {_SELF_TRADE}"
        )
    return parts


def _names_from(parts: list[str]) -> int:
    """Where in a path symbols and assets begin."""
    return 3 if parts[0] == "sessions" else 2


def _member(here: dict[str, Any], parts: list[str], at: int) -> str:
    """The name of a part as it is written there: symbols and assets are taken in any case."""
    if parts[at] in here or at < _names_from(parts):
        return parts[at]
    same = (name for name in here if name.casefold() == parts[at].casefold())
    return next(same, parts[at])


def _put(limits: Any, path: str, parts: list[str], text: str) -> None:
    here = limits
    for part in parts[:-1]:
        here = here.setdefault(part, {})
        if not isinstance(here, dict):
            raise WrongLimit(f"{path!r}: {part} is no object, but {json.dumps(here)}")
    here[_member(here, parts, len(parts) - 1)] = _value(path, parts[-1], text)


def _value(path: str, key: str, text: str) -> Any:
    try:
        if text.startswith(("{", "[")):
            return _json(text)
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
    last = _member(here, parts, len(parts) - 1) if isinstance(here, dict) else ""
    if not isinstance(here, dict) or last not in here:
        raise WrongLimit(f"--unset {path}: there is no such limit")
    if len(parts) > _names_from(parts) and len(here) == 1:
        # Without a name it would forbid everything; is that meant, or that there be no such limit?
        whole = ".".join(parts[:-1])
        raise WrongLimit(f"--unset {path}: it is the only one of {whole}; take that away, or set it to 0")
    del here[last]
    if parts[0] == "sessions":
        _forget_empty(limits)


def _forget_empty(limits: Any) -> None:
    """A session without a limit of its own has none, and is not told of as if it had."""
    limits["sessions"] = {number: own for number, own in limits["sessions"].items() if own != {}}
    if not limits["sessions"]:
        del limits["sessions"]
