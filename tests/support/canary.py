"""Secrets as they could leak: looked for, in every form, in all that a run has left."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

Secrets = dict[str, bytes]

# What is meant to hold a secret.
HOLDERS = re.compile(r"\.(pem|key|token)(\.|$)|(^|/)(tokens?/|[\w.]*token$|passphrase$)")
# A state file of the exchange is no place for a secret of ours, and may be large.
LARGEST = 32 << 20


def of_key(pem: Path) -> Secrets:
    """Forms of an unencrypted key: its 32 bytes, as they are and as text, and the body of its file."""
    body = "".join(line for line in pem.read_text().splitlines() if "-----" not in line)
    seed = base64.b64decode(body)[-32:]
    return {
        "the key's bytes": seed,
        "the key in base64": base64.b64encode(seed).rstrip(b"="),
        "the key in URL-safe base64": base64.urlsafe_b64encode(seed).rstrip(b"="),
        "the key in hexadecimal": seed.hex().encode(),
        "the key in capitals": seed.hex().upper().encode(),
        "the key as a list": str(list(seed)).encode(),
        "the body of its file": body.encode(),
    }


def of_text(name: str, text: str) -> Secrets:
    """Forms of a secret that is text."""
    raw = text.encode()
    return {
        name: raw,
        f"{name} in base64": base64.b64encode(raw).rstrip(b"="),
        f"{name} in hexadecimal": raw.hex().encode(),
        f"{name} as JSON": json.dumps(text)[1:-1].encode(),
    }


def tokens_in(folder: Path) -> Secrets:
    """Tokens of doors that still lie about."""
    found = {}
    for file in folder.rglob("*"):
        if (
            HOLDERS.search(file.relative_to(folder).as_posix())
            and file.is_file()
            and file.stat().st_size == 64
        ):
            found |= of_text(f"the token in {file.name}", file.read_text())
    return found


def leaks(folder: Path, secrets: Secrets) -> list[str]:
    """Files of a run in which a secret stands, and which."""
    found = []
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if HOLDERS.search(name) or not file.is_file() or file.stat().st_size > LARGEST:
            continue
        text = file.read_bytes()
        found += [f"{name}: {what}" for what, secret in secrets.items() if secret in text]
    return found
