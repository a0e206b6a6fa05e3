"""What is said to people and machines. A command has done what it has done, whatever becomes of that."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from ._exits import DONE, OUTPUT
from ._tables import plain


class Output:
    """Standard output and standard error: from the first error on nothing more is written there."""

    def __init__(self) -> None:
        self.lost: OSError | None = None
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # Names and reasons come from outside; not every terminal can show them.
                stream.reconfigure(errors="replace")

    def say(self, text: str) -> None:
        """Lines of the answer."""
        if self.lost is not None:
            return
        try:
            print(text, flush=True)
        except OSError as error:
            self.lost = error
            _silence(sys.stdout)
            if not isinstance(error, BrokenPipeError):
                self.complain(f"the output could not be written: {error}")

    def complain(self, text: str) -> None:
        """Words for people alone."""
        try:
            print(plain(f"pyalgo: {text}"), file=sys.stderr, flush=True)
        except OSError:
            _silence(sys.stderr)

    def code(self, code: int, only_asked: bool) -> int:
        """The exit code: lost output takes none away but the success of what only asked.

        A reader that has seen enough has lost nothing.
        """
        is_lost = self.lost is not None and not isinstance(self.lost, BrokenPipeError)
        return OUTPUT if is_lost and only_asked and code == DONE else code


def _silence(stream: TextIO) -> None:
    """What still waits in the stream would fail again at the end of the process."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
