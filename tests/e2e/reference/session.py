eng = Engine()
session = eng.make_session(
    addr="ws://localhost:8111", session_id=1, name="test", trading=True
)
sub = session.subscribe("btcusdt","depth")
