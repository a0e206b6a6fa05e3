"""SOL on spot and as much of its perpetual short, for a while, then neither: two gateways in one strategy."""

import sys

from pyalgo import *

QTY = 1.0
ROUND_S = 4.0


class Leg:
    """One market: what it holds is brought to a target, an order at a time."""

    def __init__(self, sub: DepthSubscription) -> None:
        self.sub = sub
        self.order = SmartOrder(sub)
        sub.on_order = self.on_order

    def on_order(self, order: Order) -> None:
        if order.trade_quantity:
            where = f"{self.sub.kind.lower()} {order.side} {order.trade_quantity}"
            print(f"{where} at {order.trade_price}, net {self.sub.net}", flush=True)

    def bring_to(self, target: float) -> None:
        missing = self.sub.floor_to_lot_size(abs(target - self.sub.net))
        if missing * self.sub.ask_prc(0) > self.sub.min_notional and not self.order.is_active:
            side = Side.BUY if target > self.sub.net else Side.SELL
            self.order.send(None, missing, side, OrderType.MARKET, reduce_only=target == 0)


class Hedge:
    """Both legs follow one wish; while a gateway is away the other leg waits as it is."""

    def __init__(self, eng: Engine, spot: Leg, perpetual: Leg) -> None:
        self.eng, self.spot, self.perpetual = eng, spot, perpetual

    def look(self) -> None:
        ready = all(
            leg.sub.ask_level and leg.sub.session.state == "ready" for leg in (self.spot, self.perpetual)
        )
        if ready:
            holding = self.eng.now() / 1e9 % (2 * ROUND_S) < ROUND_S
            self.spot.bring_to(QTY if holding else 0)
            self.perpetual.bring_to(-QTY if holding else 0)


if __name__ == "__main__":
    eng = Engine(0.01)
    here, there = (
        eng.make_session(addr=address, session_id=int(sys.argv[3]), name="hedge", trading=True)
        for address in sys.argv[1:3]
    )
    hedge = Hedge(eng, Leg(here.subscribe("solusdt", "bbo")), Leg(there.subscribe("solusdt", "bbo")))
    eng.every(0.2, hedge.look)
    eng.run()
