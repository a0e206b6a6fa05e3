//! Interest, split once more from the exchange's own journals: a naive twin of the rule in docs/ledger.md. The
//! simulator charges by the hour alone, nothing when a loan is taken up.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::truth::{Truth, raw};

/// What a share is cut to, in units of 10⁻¹⁰.
pub(crate) const UNIT: i128 = 100;

/// A movement of the margin wallet.
#[derive(Debug)]
struct Moved {
    time: i64,
    asset: String,
    delta: i128,
    /// Whose, if it is a session's trade.
    session: Option<u16>,
}

/// A charge of interest.
#[derive(Debug)]
struct Charged {
    id: u64,
    time: i64,
    asset: String,
    amount: i128,
}

/// All that has moved the margin wallet.
#[derive(Debug, Default)]
pub(crate) struct Wallet {
    moved: Vec<Moved>,
    charged: Vec<Charged>,
}

/// Owners in the order in which the first of equals takes the rest; `None` is nobody's row, the last.
type Owner = Option<u16>;

/// A session's share of a charge.
#[derive(Debug)]
struct Share {
    time: i64,
    owner: Owner,
    amount: i128,
}

impl Wallet {
    pub(crate) fn moves(&mut self, line: &Value, asset: &str, delta: i128, session: Option<u16>) {
        let time = line["time"].as_i64().expect("every line has a time");
        self.moved.push(Moved { time, asset: asset.to_owned(), delta, session });
    }

    /// A line of the journal of liabilities.
    pub(crate) fn owes(&mut self, line: &Value) {
        if line["kind"] == "INTEREST" {
            let time = line["time"].as_i64().expect("every line has a time");
            let id = line["id"].as_u64().expect("every line has a number");
            let asset = line["asset"].as_str().expect("every liability is in an asset").to_owned();
            let amount = raw(line["interest"].as_str().expect("interest is a decimal"));
            self.moves(line, &asset, -amount, None);
            self.charged.push(Charged { id, time, asset, amount });
        }
    }
}

impl Truth {
    /// What each of these sessions was charged of an asset, by charges after `opened` (milliseconds) and those
    /// `booked`, and by how many.
    pub(crate) fn interest(
        &self,
        sessions: &[u16],
        asset: &str,
        opened: i64,
        booked: &BTreeSet<u64>,
    ) -> (Vec<i128>, usize) {
        let mut shares: Vec<Share> = Vec::new();
        let counts = |c: &&Charged| c.asset == asset && (c.time > opened || booked.contains(&c.id));
        let charges: Vec<&Charged> = self.margin.charged.iter().filter(counts).collect();
        for charge in &charges {
            for (owner, amount) in self.split(charge, sessions, &shares) {
                shares.push(Share { time: charge.time, owner, amount });
            }
        }
        let of = |session: &u16| -> i128 {
            shares.iter().filter(|share| share.owner == Some(*session)).map(|share| share.amount).sum()
        };
        (sessions.iter().map(of).collect(), charges.len())
    }

    /// Rows before a moment.
    fn rows(&self, sessions: &[u16], asset: &str, until: i64, shares: &[Share]) -> Vec<(Owner, i128)> {
        let moved = || self.margin.moved.iter().filter(|moved| moved.asset == asset && moved.time < until);
        let row = |session: u16| -> (Owner, i128) {
            let traded: i128 = moved().filter(|m| m.session == Some(session)).map(|m| m.delta).sum();
            let counts = |share: &&Share| share.owner == Some(session) && share.time < until;
            let interest: i128 = shares.iter().filter(counts).map(|share| share.amount).sum();
            (Some(session), traded - interest)
        };
        let mut rows: Vec<(Owner, i128)> = sessions.iter().map(|session| row(*session)).collect();
        let all: i128 = moved().map(|m| m.delta).sum();
        rows.push((None, all - rows.iter().map(|(_, amount)| amount).sum::<i128>()));
        rows
    }

    /// In proportion to what each owes, in whole units, the rest to the largest.
    fn split(&self, charge: &Charged, sessions: &[u16], shares: &[Share]) -> Vec<(Owner, i128)> {
        let rows = self.rows(sessions, &charge.asset, charge.time, shares);
        let weights: Vec<(Owner, i128)> =
            rows.into_iter().map(|(owner, amount)| (owner, (-amount).max(0))).collect();
        let whole: i128 = weights.iter().map(|(_, weight)| weight).sum();
        if whole == 0 {
            return vec![(None, charge.amount)];
        }
        let cut = |weight: i128| charge.amount * weight / whole / UNIT * UNIT;
        let mut parts: Vec<(Owner, i128)> =
            weights.iter().map(|(owner, weight)| (*owner, cut(*weight))).collect();
        let rest = charge.amount - parts.iter().map(|(_, part)| part).sum::<i128>();
        let mut largest = 0;
        for (at, (_, weight)) in weights.iter().enumerate() {
            if *weight > weights[largest].1 {
                largest = at;
            }
        }
        parts[largest].1 += rest;
        parts
    }
}
