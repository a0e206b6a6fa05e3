"""Secrets as they could leak: looked for, in every form, in all that a run has left."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

Secrets = dict[str, bytes]

# Names the file to which this run's secrets are added as they come about.
VARIABLE = "TRADINGSYS_TEST_CANARIES"
# The search through all that a run has left may take so long.
WITHIN_S = 3_600.0
# A piece of a secret that is bytes: line ends and zeros are no part of a pattern.
PIECE = re.compile(rb"[^\n\0]{12,}")

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
    found: Secrets = {}
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
        if HOLDERS.search(name) or not file.is_file() or size(file) > LARGEST:
            continue
        text = content(file)
        found += [f"{name}: {what}" for what, secret in secrets.items() if secret in text]
    return found


def size(file: Path) -> int:
    """Bytes; of one that somebody takes away meanwhile, none."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def content(file: Path) -> bytes:
    """What is in a file; of one that somebody takes away meanwhile, nothing."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


def remember(secrets: Secrets) -> None:
    """Has these looked for in all that the run leaves, once it is over."""
    if file := os.environ.get(VARIABLE):
        text = "".join(f"{secret.hex()} {name}\n" for name, secret in secrets.items())
        with Path(file).open("a", encoding="utf-8") as ledger:
            ledger.write(text)


def remembered() -> Secrets:
    """What this run has to keep to itself."""
    lines = Path(os.environ[VARIABLE]).read_text(encoding="utf-8").splitlines()
    pairs = (line.split(" ", 1) for line in lines)
    return {f"{name} ({number})": bytes.fromhex(secret) for number, (secret, name) in enumerate(pairs)}


def keep_said(text: str) -> None:
    """Puts what a test has said among what the run leaves."""
    if text and (ledger := os.environ.get(VARIABLE)):
        with Path(ledger).with_name("said.txt").open("a", encoding="utf-8", errors="replace") as said:
            said.write(text)


def found_in(folder: Path, secrets: Secrets, within: float = WITHIN_S) -> list[str]:
    """Files below the folder in which one of many secrets stands, and which; for thousands of both."""
    pieces = {max(PIECE.findall(secret), key=len, default=b"") for secret in secrets.values()} - {b""}
    if not pieces:
        return []
    command = ["grep", "-rlaFZ", "-D", "skip", "-f", "-", "--", str(folder)]
    done = subprocess.run(
        command, input=b"\n".join(pieces) + b"\n", capture_output=True, timeout=within, check=False,
        env=os.environ | {"LC_ALL": "C"},
    )  # fmt: skip
    assert done.returncode in (0, 1), f"the search failed: {done.stderr.decode(errors='replace')}"
    suspects = [Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name]
    found = []
    for file in sorted(suspects):
        name = file.relative_to(folder).as_posix()
        if not HOLDERS.search(name):
            text = file.read_bytes()
            found += [f"{name}: {what}" for what, secret in secrets.items() if secret in text]
    return found


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """A run of tests below that folder: at its end no secret that came about meanwhile stands in any file.

    One secret of the search's own is laid out where it must be found: one that finds nothing proves nothing.
    """
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(folder / "canaries.key")
    lure = os.urandom(16).hex()
    remember({"the lure": lure.encode()})
    try:
        yield
        bait = folder / "lure" / "gateway.log"
        bait.parent.mkdir()
        bait.write_text(f"[time gateway INFO] bait laid={lure}\n")
        found = found_in(folder, remembered())
        lured = [line for line in found if line.startswith("lure/")]
        assert len(lured) == 1, f"the search is blind: {found}"
        leaks = [line for line in found if line not in lured]
        assert not leaks, "secrets in what the run has left:\n" + "\n".join(leaks)
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
