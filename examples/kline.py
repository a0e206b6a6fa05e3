"""Prints one-minute bars: the last ten first, then every change of the open bar until it closes.

    python examples/kline.py [ADDRESS [SESSION [SYMBOL [INTERVAL]]]]

A watching session (trading=False): it can neither send nor cancel. An open bar is shown at its newest; a
closing one is never left out.
"""

import sys

from pyalgo import Bar, Engine


def show(bar: Bar) -> None:
    """One line: an open bar is written over by the next one."""
    body = f"{bar.open:>12g} {bar.high:>12g} {bar.low:>12g} {bar.close:>12g} {bar.volume:>14g}"
    line = f"{bar.datetime:%Y-%m-%d %H:%M:%S} {bar.symbol} {bar.interval} {body} {bar.trade_count:>6}"
    print(line, end="\n" if bar.is_closed or not sys.stdout.isatty() else "\r", flush=True)


def main(
    address: str = "ws://localhost:8111", session: str = "2", symbol: str = "btcusdt", interval: str = "1m"
) -> None:
    """Shows the past, then the present."""
    eng = Engine()
    with eng.make_session(addr=address, session_id=int(session), name="kline") as seat:
        sub = seat.subscribe(symbol, f"kline:{interval}")
        for bar in seat.history(symbol, interval, 11):
            if bar.is_closed:
                show(bar)
        sub.on_data = show
        eng.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
