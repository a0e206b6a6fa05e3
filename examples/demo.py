from pyalgo import *


class Demo:
    """"""

    def __init__(self, sub: DepthSubscription):
        self.sub = sub
        self.smtord = SmartOrder(sub)

        self.fin = False

        self.sub.on_data = self.on_depth
        self.sub.on_order = self.on_order

    def on_order(self, order: Order):
        print(order)

    def on_depth(self, _: Depth):
        if self.fin:
            self.smtord.kill()
            return
        
        if self.smtord.is_active:
            # if our prc < best bid, kill it
            if self.smtord.price < self.sub.bid_prc(0):
                self.smtord.kill()

        else:
            self.smtord.send(
                self.sub.bid_prc(0), 10, Side.BUY, OrderType.LIMIT, Tif.GTC
            )
            self.fin = True


if __name__ == "__main__":
    eng = Engine(0.001)
    session = eng.make_session(
        addr="ws://localhost:8111", session_id=1, name="test", trading=True
    )

    sub = session.subscribe("dogeusdt", "depth")
    demo = Demo(sub)
    eng.run()
