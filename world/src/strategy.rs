//! A scripted strategy on the production client machine, with a file of its own that survives it.

use fastrand::Rng;
use tradingsys::client::event::{Event, OrderKey};
use tradingsys::client::machine::{Client, Config, Input, Output};
use tradingsys::client::trading::Wish;
use tradingsys::ids::{ConnId, Symbol};
use tradingsys::market::{Instructions, OrderStatus, OrderType, Side, Tif};
use tradingsys::num::{Price, Qty};
use tradingsys::time::Time;
use tradingsys::wire::event::OrderView;
use tradingsys::wire::request::Ack;

use crate::python::Seat;

/// A line of the strategy's own file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Number of the event.
    pub at: Ack,
    /// The order it told of, and its state.
    pub order: Option<OrderView>,
    /// Quantity of the fill it told of, with its trade id.
    pub fill: Option<(u64, Qty)>,
    /// Trade by which the exchange ended a part of the position.
    pub ended: Option<u64>,
    /// The position it left.
    pub net: Option<Qty>,
    /// Short name of a notice.
    pub notice: Option<String>,
    /// The order a notice is about.
    pub about: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub struct Strategy {
    /// Its session.
    pub session: u16,
    /// The process, while it runs.
    pub client: Option<Client>,
    /// Its connection, while there is one.
    pub conn: Option<ConnId>,
    /// Its file.
    pub file: Vec<Line>,
    /// Orders it was told of without a number since the last look: by an answer, or by a snapshot.
    pub unnumbered: Vec<OrderView>,
    /// Commands sent so far.
    pub sent: u32,
    /// How often it was killed.
    pub kills: u32,
    /// Where a program sits in its place.
    pub(crate) seat: Option<Seat>,
    open: Vec<OrderKey>,
}

impl Strategy {
    /// A strategy that does not run yet.
    pub fn new(session: u16) -> Self {
        let (file, unnumbered, open) = (Vec::new(), Vec::new(), Vec::new());
        Self { session, client: None, conn: None, file, unnumbered, sent: 0, kills: 0, seat: None, open }
    }

    /// Starts the process: all it remembers is its file.
    pub fn start(&mut self, now: Time, seed: u64) -> Vec<Output> {
        let config = Config {
            session_id: self.session,
            name: format!("s{}", self.session),
            trading: true,
            take_over: true,
            // Some trust the gateway to remember what they have handled.
            cursor: self.file.last().map(|line| line.at).filter(|_| !self.is_slow()),
            autocommit: true,
            declared: Default::default(),
            seed,
        };
        let mut client = Client::new(config);
        let mut out = Vec::new();
        client.handle(now, Input::Start, &mut out);
        self.client = Some(client);
        self.open.clear();
        out
    }

    /// Kills the process.
    pub fn kill(&mut self) {
        self.client = None;
        self.conn = None;
        self.kills += 1;
        if let Some(seat) = &mut self.seat {
            seat.kill();
        }
    }

    /// Is there a process?
    pub fn runs(&self) -> bool {
        self.client.is_some() || self.seat.as_ref().is_some_and(Seat::runs)
    }

    /// Does it take the gateway for ready?
    pub fn is_ready(&self) -> bool {
        let client = self.client.as_ref().is_some_and(|client| client.is_ready());
        client || self.seat.as_ref().is_some_and(Seat::is_ready)
    }

    /// Gives the process an input and lets it handle what it has.
    pub fn input(&mut self, now: Time, input: Input<'_>) -> Vec<Output> {
        let mut out = Vec::new();
        let Some(client) = &mut self.client else { return out };
        client.handle(now, input, &mut out);
        while client.next_market().is_some() {}
        if !self.is_slow() {
            self.take(usize::MAX, &mut out);
        }
        out
    }

    /// A slow one handles events only now and then, and not all; it dies with those that wait.
    fn is_slow(&self) -> bool {
        self.session.is_multiple_of(3)
    }

    /// Handles so much of what has arrived. What it has in its file it has seen before.
    fn take(&mut self, most: usize, out: &mut Vec<Output>) {
        let Some(client) = &mut self.client else { return };
        for _ in 0..most {
            let Some(placed) = client.next_private() else { break };
            let number = |at: Ack| (at.generation, at.sequence);
            let last = self.file.last().map(|line| number(line.at));
            if let Some(at) = placed.at.filter(|at| last.is_none_or(|last| number(*at) > last)) {
                self.file.push(line(at, &placed.event));
            }
            if let (None, Event::Order(change)) = (placed.at, &placed.event) {
                self.unnumbered.push(change.order.clone());
            }
            client.handled(&placed);
        }
        client.acknowledge(out);
    }

    /// Does something, if the gateway takes orders or it is hasty: an order that rests or takes, or a cancel.
    pub fn act(&mut self, now: Time, rng: &mut Rng, market: Price, hasty: bool) -> Vec<Output> {
        let mut out = Vec::new();
        let some = 1 + 3 * (self.sent as usize % 4);
        self.take(if self.is_slow() { some } else { usize::MAX }, &mut out);
        let Some(client) = &mut self.client else { return out };
        if !client.is_ready() && !hasty {
            return out;
        }
        self.open.retain(|key| client.orders().get(*key).is_some_and(|o| o.is_active()));
        if !self.open.is_empty() && rng.u8(0..3) == 0 {
            let key = self.open[rng.usize(0..self.open.len())];
            if client.kill(key, &mut out).is_ok() {
                self.sent += 1;
            }
            return out;
        }
        if let Ok(key) = client.order(now, wish(rng, market), &mut out) {
            self.sent += 1;
            self.open.push(key);
        }
        out
    }

    /// What it waits for: an end of an order it knows, an answer to a command, the first word of an order called
    /// taken.
    pub fn unrest(&self) -> Option<String> {
        if let Some(active) = self.seat.as_ref().map(Seat::active).filter(|active| *active > 0) {
            return Some(format!("{active} orders are not over"));
        }
        let client = self.client.as_ref()?;
        if let Some((_, order)) = client.orders().open().next() {
            return Some(format!("{} is {}", order.order.order_id, order.order.state));
        }
        let waiting = client.waiting();
        (waiting > 0 || client.has_private())
            .then(|| format!("{waiting} commands, events to handle: {}", client.has_private()))
    }

    /// Handles all that has arrived, and does nothing.
    pub fn rest(&mut self) -> Vec<Output> {
        let mut out = Vec::new();
        self.take(usize::MAX, &mut out);
        out
    }

    /// Cancels everything it has, if it has anything.
    pub fn cancel_all(&mut self) -> Vec<Output> {
        let mut out = self.rest();
        let has_orders = |c: &&mut Client| c.is_ready() && c.orders().open().next().is_some();
        if let Some(client) = self.client.as_mut().filter(has_orders) {
            let _told_by_events = client.cancel_all(None, &mut out);
        }
        out
    }
}

/// Near the market, which moves little in a schedule's length.
fn wish(rng: &mut Rng, market: Price) -> Wish {
    let side = if rng.bool() { Side::Buy } else { Side::Sell };
    let order_type = if rng.u8(0..4) == 0 { OrderType::Market } else { OrderType::Limit };
    let ticks = market.raw() / 100_000 + rng.i128(-400..400);
    let limit = order_type == OrderType::Limit;
    Wish {
        symbol: Symbol::new("dogeusdt"),
        side,
        order_type,
        tif: limit.then_some(if rng.u8(0..5) == 0 { Tif::Ioc } else { Tif::Gtc }),
        price: limit.then(|| Price::from_raw(ticks * 100_000)),
        stop_price: None,
        qty: Some(Qty::whole(rng.i64(10..2_000))),
        quote_amount: None,
        instructions: Instructions::default(),
    }
}

fn line(at: Ack, event: &Event) -> Line {
    let mut line = Line { at, order: None, fill: None, ended: None, net: None, notice: None, about: None };
    match event {
        Event::Order(change) => {
            line.fill = change.fill.as_ref().map(|f| (f.trade_id, f.qty));
            line.order = Some(change.order.clone());
            line.net = change.position.as_ref().map(|position| position.net);
        }
        Event::Position { position, fill, .. } => {
            line.ended = fill.as_ref().map(|fill| fill.trade_id);
            line.net = Some(position.net);
        }
        Event::Notice { code, order_id, .. } => {
            line.notice = Some(code.clone());
            line.about = order_id.as_ref().map(|id| id.as_str().to_owned());
        }
        _ => {}
    }
    line
}

/// Does this state say that nothing is left at the exchange?
pub fn says_over(state: OrderStatus) -> bool {
    state.is_terminal()
}
