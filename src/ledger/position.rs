//! A session's position in one symbol, folded in exchange order.
//!
//! Quantity and cash commute, so they need no order. Average price and realised profit do not: they are folded by
//! (venue time, trade id), and folded anew when an earlier fill arrives late.
//!
//! After any fills `realised = cash + cost + fees` holds, up to the rounding of averages: `cash` is what they brought
//! of the quote asset less what they took, `cost` that of the open quantity, and `fees` what they took in the base
//! asset. A fee is neither profit nor loss, so each is worth what it took away: what was held leaves at its average
//! cost; what was not (a fee on a flat position opens one, on a short one it adds to it) comes in at the price of its
//! own fill. A rebate is a negative fee. An edit says what is held and at which price, and moves no cash.

use crate::ids::TradeId;
use crate::market::Side;
use crate::num::{Cash, Price, Qty};
use crate::time::Time;

/// One step of a position's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Venue time of the fill, or time the edit was accepted.
    pub time: Time,
    /// Trade id; 0 for an edit.
    pub trade_id: TradeId,
    /// What happened.
    pub change: Change,
}

/// See [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A fill.
    Fill {
        /// Side.
        side: Side,
        /// Quantity.
        qty: Qty,
        /// Quote amount.
        quote: Cash,
        /// Fee taken in the base asset.
        base_fee: Qty,
    },
    /// A user's edit.
    Edit {
        /// Change of the quantity.
        delta: Qty,
        /// New average price, if the user wrote one.
        avg_price: Option<Price>,
    },
}

/// A position and how it came about.
#[derive(Clone, Debug, Default)]
pub struct Position {
    steps: Vec<Step>,
    now: Totals,
    /// The UTC day of the last step, and the profit realised before its first one.
    day: (i64, Cash),
}

/// Where the fold stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Signed quantity.
    pub qty: Qty,
    /// What the open quantity cost, signed like it.
    pub cost: Cash,
    /// Profit realised, fees not deducted.
    pub realised: Cash,
    /// Time of the last step.
    pub time: Time,
}

impl Totals {
    /// Average entry price; zero when flat.
    pub fn avg_price(&self) -> Price {
        self.cost.per(self.qty).unwrap_or_default()
    }

    /// A step that may begin a day.
    fn enter(&mut self, day: &mut (i64, Cash), step: &Step) {
        if day.0 != step.time.day() {
            *day = (step.time.day(), self.realised);
        }
        self.step(step);
    }

    fn step(&mut self, step: &Step) {
        self.time = self.time.max(step.time);
        match step.change {
            Change::Fill { side, qty, quote, base_fee } => {
                let signed = side.signed(qty);
                self.trade(signed, if signed.is_negative() { -quote } else { quote });
                self.take_fee(base_fee, |part| quote.share(part, qty).unwrap_or_default());
            }
            Change::Edit { delta, avg_price } => {
                let kept = self.avg_price();
                self.qty += delta;
                let price = avg_price.unwrap_or(kept);
                self.cost = price.times(self.qty);
            }
        }
    }

    /// Adds `signed` for `value` (of the same sign): grows, or closes at a profit and perhaps opens the other way.
    fn trade(&mut self, signed: Qty, value: Cash) {
        let grows = self.qty.is_zero() || self.qty.is_negative() == signed.is_negative();
        if grows {
            self.qty += signed;
            self.cost += value;
            return;
        }
        let closed = signed.abs().min(self.qty.abs());
        let value_closed = value.share(closed, signed.abs()).unwrap_or_default();
        let cost_closed = self.cost.share(closed, self.qty.abs()).unwrap_or_default();
        // Each has the sign of its own direction, and the directions oppose: the profit is their sum's negative.
        self.realised -= value_closed + cost_closed;
        self.cost = self.cost - cost_closed + (value - value_closed);
        self.qty += signed;
        if self.qty.is_zero() {
            self.cost = Cash::ZERO;
        }
    }

    /// Takes a base-asset fee off the quantity, without profit or loss; `worth` values a quantity by its fill.
    fn take_fee(&mut self, fee: Qty, worth: impl Fn(Qty) -> Cash) {
        let delta = -fee;
        let closes = self.qty.is_negative() != delta.is_negative();
        let leaving = if closes { delta.abs().min(self.qty.abs()) } else { Qty::ZERO };
        self.cost -= self.cost.share(leaving, self.qty.abs()).unwrap_or_default();
        let coming = worth(delta.abs() - leaving);
        self.cost += if delta.is_negative() { -coming } else { coming };
        self.qty += delta;
    }
}

impl Position {
    /// Where it stands.
    pub fn totals(&self) -> Totals {
        self.now
    }

    /// Profit realised since the beginning of that UTC day, fees not deducted. Steps are the exchange's, whose clock
    /// may be a little ahead: its next day has begun then.
    pub fn realised_since(&self, day: i64) -> Cash {
        if self.day.0 < day { Cash::ZERO } else { self.now.realised - self.day.1 }
    }

    /// Takes in a step, at its place in exchange order.
    pub fn add(&mut self, step: Step) {
        let key = |s: &Step| (s.time, s.trade_id);
        if self.steps.last().is_none_or(|last| key(last) <= key(&step)) {
            self.steps.push(step);
            self.now.enter(&mut self.day, &step);
            return;
        }
        let at = self.steps.partition_point(|s| key(s) <= key(&step));
        self.steps.insert(at, step);
        self.fold_anew();
    }

    /// Takes a step out again.
    pub fn remove(&mut self, step: &Step) {
        if let Some(at) = self.steps.iter().position(|s| s == step) {
            self.steps.remove(at);
            self.fold_anew();
        }
    }

    fn fold_anew(&mut self) {
        (self.now, self.day) = Default::default();
        for step in &self.steps {
            self.now.enter(&mut self.day, step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(at: i64, side: Side, qty: &str, price: &str, base_fee: &str) -> Step {
        let (qty, price): (Qty, Price) = (qty.parse().unwrap(), price.parse().unwrap());
        let base_fee = base_fee.parse().unwrap();
        let change = Change::Fill { side, qty, quote: price.times(qty), base_fee };
        Step { time: Time::from_millis(at), trade_id: at as u64, change }
    }

    fn check(steps: &[Step], qty: &str, avg: &str, realised: &str) {
        let mut position = Position::default();
        for step in steps {
            position.add(*step);
        }
        let totals = position.totals();
        let found = format!("{} {} {}", totals.qty, totals.avg_price(), totals.realised);
        assert_eq!(found, format!("{qty} {avg} {realised}"));
    }

    #[test]
    fn average_cost_and_profit() {
        let buy = |at, qty, price| fill(at, Side::Buy, qty, price, "0");
        let sell = |at, qty, price| fill(at, Side::Sell, qty, price, "0");
        check(&[buy(1, "10", "2")], "10", "2", "0");
        check(&[buy(1, "10", "2"), buy(2, "10", "4")], "20", "3", "0");
        check(&[buy(1, "10", "2"), sell(2, "4", "3")], "6", "2", "4");
        check(&[buy(1, "10", "2"), sell(2, "10", "3")], "0", "0", "10");
        check(&[buy(1, "10", "2"), sell(2, "15", "3")], "-5", "3", "10");
        check(&[sell(1, "5", "3"), buy(2, "5", "2")], "0", "0", "5");
        check(&[sell(1, "5", "3"), buy(2, "8", "4")], "3", "4", "-5");
    }

    #[test]
    fn row_004_69_a_fee_in_the_base_asset_reduces_what_is_held() {
        check(&[fill(1, Side::Buy, "10", "2", "0.01")], "9.99", "2", "0");
    }

    #[test]
    fn row_004_69_a_fee_beyond_what_is_held_opens_at_the_price_of_its_fill() {
        let sold = fill(1, Side::Sell, "0.01", "60000", "0");
        let bought = fill(2, Side::Buy, "0.01", "60010", "0.00001");
        check(&[sold, bought], "-0.00001", "60010", "-0.1");
        check(&[sold, bought, fill(3, Side::Buy, "0.002", "60020", "0")], "0.00199", "60020", "-0.1001");
        // It flips a long position, and adds to a short one.
        let little = fill(1, Side::Buy, "1", "2", "0");
        check(&[little, fill(2, Side::Sell, "0.5", "3", "1")], "-0.5", "3", "0.5");
        check(
            &[fill(1, Side::Sell, "1", "2", "0"), fill(2, Side::Sell, "1", "3", "1")],
            "-3",
            "2.6666666667",
            "0",
        );
        // A rebate is a fee the other way round.
        check(&[fill(1, Side::Sell, "1", "2", "-0.5")], "-0.5", "2", "0");
        check(&[little, fill(2, Side::Sell, "1", "3", "-1")], "1", "3", "1");
    }

    /// A position unit by unit: what leaves does so at the average of all; what comes in brings its own price.
    #[derive(Default)]
    struct Naive {
        units: Vec<f64>,
        short: bool,
        cash: f64,
        fees: f64,
        realised: f64,
    }

    impl Naive {
        /// One unit more or less at this price; true if the position shrank, and at which average.
        fn unit(&mut self, up: bool, price: f64) -> Option<f64> {
            if self.units.is_empty() || self.short != up {
                self.short = !up;
                self.units.push(price);
                return None;
            }
            let average = self.units.iter().sum::<f64>() / self.units.len() as f64;
            let left = self.units.len() - 1;
            self.units = vec![average; left];
            Some(average)
        }

        fn fill(&mut self, buy: bool, qty: i64, price: f64, fee: i64) {
            for _ in 0..qty {
                self.cash += if buy { -price } else { price };
                if let Some(average) = self.unit(buy, price) {
                    self.realised += if buy { average - price } else { price - average };
                }
            }
            for _ in 0..fee.abs() {
                let worth = self.unit(fee < 0, price).unwrap_or(price);
                self.fees += if fee < 0 { -worth } else { worth };
            }
        }

        fn signed(&self, amount: f64) -> f64 {
            if self.short { -amount } else { amount }
        }
    }

    #[test]
    fn row_004_69_profit_is_cash_and_cost_and_fees_at_every_step() {
        let number = |cash: Cash| cash.to_string().parse::<f64>().unwrap();
        for seed in 0..300 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (mut naive, mut position) = (Naive::default(), Position::default());
            for at in 1..40 {
                let (buy, qty, price) = (rng.bool(), rng.i64(1..6), rng.i64(1..9));
                let fee = if rng.bool() { rng.i64(-3..8) } else { 0 };
                naive.fill(buy, qty, price as f64, fee);
                let side = if buy { Side::Buy } else { Side::Sell };
                position.add(fill(at, side, &qty.to_string(), &price.to_string(), &fee.to_string()));
                let (totals, cost) = (position.totals(), naive.signed(naive.units.iter().sum()));
                let found = [number(totals.qty.as_cash()), number(totals.cost), number(totals.realised)];
                let wanted = [naive.signed(naive.units.len() as f64), cost, naive.realised];
                let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
                let same = found.iter().zip(wanted).all(|(found, wanted)| near(*found, wanted));
                assert!(same, "seed {seed} step {at}: {found:?} is not {wanted:?}");
                assert!(near(found[2], naive.cash + found[1] + naive.fees), "seed {seed} step {at}: the law");
            }
        }
    }

    #[test]
    fn r16_a_late_fill_takes_its_place() {
        let a = fill(1, Side::Buy, "10", "2", "0");
        let b = fill(2, Side::Sell, "10", "3", "0");
        let c = fill(3, Side::Buy, "10", "5", "0");
        for order in [[a, b, c], [a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
            check(&order, "10", "5", "10");
        }
    }

    #[test]
    fn a_step_taken_out_never_was() {
        let (a, b, c) = (
            fill(1, Side::Buy, "10", "2", "0"),
            fill(2, Side::Sell, "10", "3", "0"),
            fill(3, Side::Buy, "10", "5", "0"),
        );
        let mut position = Position::default();
        for step in [a, b, c] {
            position.add(step);
        }
        position.remove(&b);
        position.remove(&b);
        let mut without = Position::default();
        without.add(a);
        without.add(c);
        assert_eq!(position.totals(), without.totals());
    }

    #[test]
    fn an_edit_keeps_or_sets_the_average() {
        let edit = |delta: &str, avg: Option<&str>| Step {
            time: Time::from_millis(5),
            trade_id: 0,
            change: Change::Edit {
                delta: delta.parse().unwrap(),
                avg_price: avg.map(|a| a.parse().unwrap()),
            },
        };
        let bought = fill(1, Side::Buy, "10", "2", "0");
        check(&[bought, edit("-4", None)], "6", "2", "0");
        check(&[bought, edit("-4", Some("7"))], "6", "7", "0");
        check(&[bought, edit("-10", None)], "0", "0", "0");
        check(&[edit("3", Some("2.5"))], "3", "2.5", "0");
    }
}
