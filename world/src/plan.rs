//! What one schedule is made of: everything follows from its seed.

use std::fmt;
use std::str::FromStr;

use tradingsys::time::Span;

use crate::product::Product;

/// Longer than [`crate::heal`] allows for anything but the end of an order.
const PATIENCE: Span = Span::from_secs(60);

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
    /// Per kill of the gateway: its journal is lost with it, or an older copy is put in its place.
    pub lose_journal: u32,
    /// Per loss of a journal: the note of the last epoch beside it stays as it is.
    pub keep_note: u32,
    /// Per kill of the gateway: the machine lost its power. What was committed and not synced is gone.
    pub lose_power: u32,
    /// A dial of the gateway is refused.
    pub refuse_link: u32,
    /// An order or a cancel is held up inside the exchange, some longer than it may wait.
    pub late_request: u32,
    /// An order or a cancel is answered with "execution status unknown", whether it was carried out or not.
    pub doubt_reply: u32,
    /// A question is answered with an error.
    pub fail_query: u32,
    /// A question is answered from the past.
    pub lag_query: u32,
    /// Per second: the exchange says that too much was asked (429).
    pub slow_down: u32,
    /// Per second: the exchange bans the address for some seconds (418).
    pub ban: u32,
    /// Per second: the exchange announces a shutdown, and closes all connections.
    pub shut_down: u32,
    /// Per second: what private events come under is at its end (not on spot).
    pub expire_key: u32,
    /// Per second: the symbol's rules change, or it takes no orders for a while.
    pub change_rules: u32,
    /// Per second: the exchange's clock steps ahead of ours.
    pub step_clock: u32,
    /// Per second: for a while the exchange forgets: replicas show the past, events are lost, and the engine denies
    /// orders it has.
    pub deny: u32,
    /// Per second: a user edits a row of `pos.db`.
    pub edit_row: u32,
    /// Per second: somebody cancels an order of a strategy by hand.
    pub cancel_by_hand: u32,
}

/// Numbers of one kind, with their names.
pub type Named<'a, const N: usize> = [(&'static str, &'a mut u32); N];

impl Faults {
    /// All of them, by name.
    pub fn each(&mut self) -> Named<'_, 30> {
        [
            ("drop_event", &mut self.drop_event),
            ("double_event", &mut self.double_event),
            ("delay_event", &mut self.delay_event),
            ("drop_reply", &mut self.drop_reply),
            ("drop_request", &mut self.drop_request),
            ("cut_link", &mut self.cut_link),
            ("freeze_link", &mut self.freeze_link),
            ("kill_gateway", &mut self.kill_gateway),
            ("kill_strategy", &mut self.kill_strategy),
            ("cut_strategy", &mut self.cut_strategy),
            ("trade_by_hand", &mut self.trade_by_hand),
            ("force_end", &mut self.force_end),
            ("outage", &mut self.outage),
            ("lose_journal", &mut self.lose_journal),
            ("keep_note", &mut self.keep_note),
            ("lose_power", &mut self.lose_power),
            ("refuse_link", &mut self.refuse_link),
            ("late_request", &mut self.late_request),
            ("doubt_reply", &mut self.doubt_reply),
            ("fail_query", &mut self.fail_query),
            ("lag_query", &mut self.lag_query),
            ("slow_down", &mut self.slow_down),
            ("ban", &mut self.ban),
            ("shut_down", &mut self.shut_down),
            ("expire_key", &mut self.expire_key),
            ("change_rules", &mut self.change_rules),
            ("step_clock", &mut self.step_clock),
            ("deny", &mut self.deny),
            ("edit_row", &mut self.edit_row),
            ("cancel_by_hand", &mut self.cancel_by_hand),
        ]
    }
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
    /// Do strategies send orders whatever the gateway says of its state?
    pub hasty: bool,
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
        // Each of these in a third of the schedules: eight kinds of fault or so in all.
        let mut rare = |most: u32| if rng.u8(0..3) == 0 { rng.u32(0..most) } else { 0 };
        faults.lose_power = rare(500_000);
        faults.refuse_link = rare(300_000);
        faults.late_request = rare(60_000);
        faults.doubt_reply = rare(60_000);
        faults.fail_query = rare(100_000);
        faults.lag_query = rare(900_000);
        faults.slow_down = rare(60_000);
        faults.ban = rare(40_000);
        faults.shut_down = rare(60_000);
        faults.expire_key = rare(100_000);
        faults.change_rules = rare(100_000);
        faults.step_clock = rare(60_000);
        faults.edit_row = rare(150_000);
        faults.cancel_by_hand = rare(200_000);
        let product = Product::default();
        Self {
            seed,
            product,
            strategies: 3,
            commands: 100,
            length: Span::from_secs(20),
            faults,
            life,
            settles,
            hasty: false,
        }
    }

    /// The schedule of a number in a long run, with what all have in common ([`Self::with`]): the products take turns;
    /// a fifth of them loses journals, a tenth meets an exchange that denies what it has, and in a tenth strategies
    /// are hasty.
    ///
    /// # Errors
    /// What [`Self::with`] does not understand.
    pub fn of_number(number: u64, common: &str) -> Result<Self, String> {
        let product = match number % 3 {
            0 => Product::Spot,
            1 => Product::Usdt,
            _ => Product::Margin,
        };
        let plan = Self::of_seed(number).of(product).with(common)?;
        Ok(match number / 3 % 10 {
            _ if product == Product::Margin => plan,
            4 | 9 => plan.losing(),
            7 => plan.denying(),
            2 => Self { hasty: true, ..plan },
            _ => plan,
        })
    }

    /// The schedule of a number in a run in which all lose journals.
    ///
    /// # Errors
    /// As of [`Self::of_number`].
    pub fn of_losing_number(number: u64, common: &str) -> Result<Self, String> {
        let product = if number.is_multiple_of(2) { Product::Spot } else { Product::Usdt };
        Ok(Self::of_seed(number).of(product).with(common)?.losing())
    }

    /// How long strategies leave their orders alone when faults have ended. In a part of the schedules that is for
    /// longer than anything takes to heal: what is amiss must be noticed without a cancel that meets it.
    pub fn patience(&self) -> Span {
        let Faults { freeze_link, deny, slow_down, .. } = self.faults;
        let heals_soon = [freeze_link, deny, slow_down].iter().all(|rate| *rate == 0);
        if heals_soon && self.seed.is_multiple_of(2) { PATIENCE } else { Span::ZERO }
    }

    /// The same schedule for another gateway.
    #[must_use]
    pub fn of(self, product: Product) -> Self {
        Self { product, ..self }
    }

    /// The same schedule with journals being lost; what somebody else does to the account is left out, for what is
    /// older than a journal is not in it.
    #[must_use]
    pub fn losing(mut self) -> Self {
        self.faults.kill_gateway = self.faults.kill_gateway.max(120_000);
        self.faults.lose_journal = self.faults.lose_journal.max(500_000);
        if self.faults.keep_note == 0 {
            self.faults.keep_note = 500_000;
        }
        (self.faults.trade_by_hand, self.faults.force_end) = (0, 0);
        (self.faults.edit_row, self.faults.cancel_by_hand) = (0, 0);
        Self { settles: false, ..self }
    }

    /// The same schedule with an exchange that denies orders it has, more often than anything else goes wrong.
    #[must_use]
    pub fn denying(mut self) -> Self {
        let Faults { drop_event, delay_event, kill_strategy, .. } = self.faults;
        self.faults = Faults { drop_event, delay_event, kill_strategy, deny: 300_000, ..Faults::default() };
        Self { settles: false, length: Span::from_secs(40), commands: 60, ..self }
    }

    /// The same schedule with what these words name, as they are in a plan's text: `edit_row=200000 strategies=1`.
    ///
    /// # Errors
    /// The word that names nothing, or no number, and why.
    pub fn with(mut self, words: &str) -> Result<Self, String> {
        for word in words.split_whitespace() {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("{word:?} is not name=value"))?;
            let number = || value.parse::<u32>().map_err(|error| format!("{word:?}: {error}"));
            match name {
                "seed" => self.seed = value.parse().map_err(|error| format!("{word:?}: {error}"))?,
                "product" => {
                    self.product = Product::of_market(value).ok_or(format!("no product {value:?}"))?
                }
                "strategies" => self.strategies = number()?.clamp(1, 9) as u16,
                "commands" => self.commands = number()?,
                "length_ms" => self.length = Span::from_millis(number()?.into()),
                "life_ms" => self.life = Some(Span::from_millis(number()?.into())),
                "settles" => self.settles = number()? > 0,
                "hasty" => self.hasty = number()? > 0,
                _ => {
                    let number = number()?;
                    let mut each = self.faults.each().into_iter();
                    let (_, rate) =
                        each.find(|(known, _)| *known == name).ok_or_else(|| format!("no fault {name:?}"))?;
                    *rate = number;
                }
            }
        }
        Ok(self)
    }

    /// The same schedule without faults.
    #[must_use]
    pub fn calm(self) -> Self {
        Self { faults: Faults::default(), life: None, settles: false, ..self }
    }
}

/// As [`FromStr`] reads it: `seed=7 product=usdt strategies=3 commands=20 length_ms=20000 cut_link=1000`; what is not
/// named does not happen.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, product, strategies, commands, length, mut faults, life, settles, hasty } = *self;
        let (market, millis) = (product.market(), length.millis());
        write!(f, "seed={seed} product={market} strategies={strategies} commands={commands}")?;
        write!(f, " length_ms={millis}")?;
        if let Some(life) = life {
            write!(f, " life_ms={}", life.millis())?;
        }
        for (name, is) in [("settles", settles), ("hasty", hasty)] {
            if is {
                write!(f, " {name}=1")?;
            }
        }
        for (name, rate) in faults.each() {
            if *rate > 0 {
                write!(f, " {name}={rate}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::of_seed(0).calm().with(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_as_it_is_written() {
        for seed in 0..50 {
            let product = if seed % 2 == 0 { Product::Spot } else { Product::Usdt };
            let mut plan = Plan::of_seed(seed).of(product);
            plan.length = Span::from_millis(7_000);
            assert_eq!(plan.to_string().parse(), Ok(plan));
        }
        assert_eq!("seed=1 cut=2".parse::<Plan>(), Err("no fault \"cut\"".to_owned()));
    }
}
