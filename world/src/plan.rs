//! What one schedule is made of: everything follows from its seed.

use tradingsys::time::Span;

use crate::product::Product;

/// Chances of faults, per occasion, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A private event on its way to the gateway is dropped.
    pub drop_event: u32,
    /// A private event arrives twice.
    pub double_event: u32,
    /// A private event is held back until after later frames.
    pub delay_event: u32,
    /// A reply to the gateway is dropped.
    pub drop_reply: u32,
    /// A request of the gateway never reaches the exchange, though its link stays up.
    pub drop_request: u32,
    /// Per second: a link between gateway and exchange is cut; both sides learn of it.
    pub cut_link: u32,
    /// Per second: a link goes half open; nobody learns of it.
    pub freeze_link: u32,
    /// Per second: the gateway is killed.
    pub kill_gateway: u32,
    /// Per second: a strategy is killed.
    pub kill_strategy: u32,
    /// Per second: a strategy's connection is cut.
    pub cut_strategy: u32,
    /// Per second: somebody trades on the account by hand (futures only).
    pub trade_by_hand: u32,
    /// Per second: the exchange ends a position of the account, or a part (futures only).
    pub force_end: u32,
    /// Per second: the exchange cannot be reached for some seconds, in which what else can happen does.
    pub outage: u32,
}

/// One schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its seed.
    pub seed: u64,
    /// Which gateway goes through it.
    pub product: Product,
    /// Strategies.
    pub strategies: u16,
    /// Commands each strategy sends, about.
    pub commands: u32,
    /// How long faults strike and strategies trade.
    pub length: Span,
    /// Faults.
    pub faults: Faults,
    /// Age at which the gateway replaces its connections; the venue's 24 hours, unless shortened.
    pub life: Option<Span>,
    /// Is the contract settled in the end (futures only)?
    pub settles: bool,
}

impl Plan {
    /// The plan of a seed: each seed has its own subset of faults at its own rates.
    pub fn of_seed(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x706c_616e);
        let mut rate = |most: u32| if rng.bool() { rng.u32(0..most) } else { 0 };
        let mut faults = Faults {
            drop_event: rate(100_000),
            double_event: rate(100_000),
            delay_event: rate(150_000),
            drop_reply: rate(60_000),
            drop_request: rate(30_000),
            cut_link: rate(200_000),
            freeze_link: rate(40_000),
            kill_gateway: rate(200_000),
            kill_strategy: rate(200_000),
            cut_strategy: rate(200_000),
            trade_by_hand: rate(200_000),
            ..Faults::default()
        };
        faults.force_end = rate(200_000);
        faults.outage = rate(250_000);
        let life = rng.bool().then(|| Span::from_millis(rng.i64(3_000..12_000)));
        let settles = rng.u8(0..4) == 0;
        let product = Product::default();
        Self {
            seed,
            product,
            strategies: 3,
            commands: 20,
            length: Span::from_secs(20),
            faults,
            life,
            settles,
        }
    }

    /// The same schedule for another gateway.
    #[must_use]
    pub fn of(self, product: Product) -> Self {
        Self { product, ..self }
    }

    /// The same schedule without faults.
    #[must_use]
    pub fn calm(self) -> Self {
        Self { faults: Faults::default(), life: None, settles: false, ..self }
    }
}
