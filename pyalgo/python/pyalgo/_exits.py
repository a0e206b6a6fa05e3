"""Exit codes of the command `pyalgo`, all of them; docs/operating.md has the table for people."""

from __future__ import annotations

from ._errors import BadProof, ConnectError, Error, ProtocolError, RequestTimeout, VersionMismatch

DONE, REFUSED, USAGE = 0, 1, 2
UNREACHABLE, OUTPUT, PROTOCOL, TOKEN, CONFIGURATION = 69, 74, 76, 77, 78
INTERRUPTED = 130

MEANING = {
    DONE: "done, all is well",
    REFUSED: "refused, or not well",
    USAGE: "usage, or no files",
    UNREACHABLE: "no gateway",
    OUTPUT: "the output was lost",
    PROTOCOL: "another version",
    TOKEN: "token refused",
    CONFIGURATION: "of the doctor: configuration",
    INTERRUPTED: "interrupted",
}


def exit_code(error: Exception) -> int:
    """What a script is told of an error."""
    if isinstance(error, ConnectError | RequestTimeout):
        return UNREACHABLE
    if isinstance(error, BadProof):
        return TOKEN
    if isinstance(error, VersionMismatch | ProtocolError):
        return PROTOCOL
    return REFUSED if isinstance(error, Error) else USAGE


def as_json(error: Exception) -> dict[str, dict[str, object]]:
    """An error as machines read it."""
    number, name = (error.code, error.name) if isinstance(error, Error) else (0, "usage")
    return {"error": {"code": number, "name": name, "message": str(error)}}
