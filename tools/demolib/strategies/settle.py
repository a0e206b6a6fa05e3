"""Cancels what the sessions still have open, and ends when nothing is open any more."""

import sys

from pyalgo import *

if __name__ == "__main__":
    eng = Engine(0.01)
    sessions = [
        eng.make_session(addr=sys.argv[1], session_id=int(number), name="settle", trading=True)
        for number in sys.argv[2:]
    ]

    def settle() -> None:
        if not any(session.orders for session in sessions):
            eng.stop()

    for session in sessions:
        session.cancel_all()
    eng.every(0.1, settle)
    eng.run()
