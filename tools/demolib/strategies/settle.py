"""Cancels what the sessions still have open, and ends when nothing is open any more.

settle.py ADDRESS SESSION [SESSION ...] [ADDRESS SESSION ...]
"""

import sys

from pyalgo import *

if __name__ == "__main__":
    eng = Engine(0.01)
    sessions = []
    address = ""
    for word in sys.argv[1:]:
        if not word.isdigit():
            address = word
        else:
            sessions.append(eng.make_session(addr=address, session_id=int(word), name="settle", trading=True))

    def settle() -> None:
        if not any(session.orders for session in sessions):
            eng.stop()

    for session in sessions:
        session.cancel_all()
    eng.every(0.1, settle)
    eng.run()
