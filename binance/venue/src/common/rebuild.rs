//! A recorded market, its book rebuilt from the raw frames by code that shares nothing with the product.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Value, json};
use tradingsys::market::{Depth, Level};

/// Prices and quantities, in whole 10⁻¹⁰.
type Rows = Vec<(i128, i128)>;

/// The raw frames, if the recordings are at hand; else it is said that the test shows nothing.
#[expect(clippy::disallowed_methods, reason = "a test finds the recordings by the environment")]
pub(crate) fn recorded(name: &str) -> Option<Vec<Value>> {
    let Some(folder) = std::env::var_os("TRADINGSYS_RECORDINGS") else {
        // Not by a macro: what those print of a test that passes is not shown.
        let _shown = writeln!(std::io::stderr(), "not run without TRADINGSYS_RECORDINGS: {name}");
        return None;
    };
    let file = std::path::Path::new(&folder).join(name);
    let unpacked = std::process::Command::new("gzip").arg("-dc").arg(&file).output().unwrap();
    let text = String::from_utf8(unpacked.stdout).unwrap();
    let frame = |line: &str| serde_json::from_str(line.split_once(' ').unwrap().1).unwrap();
    Some(text.lines().map(frame).collect())
}

/// A decimal as a whole number of 10⁻¹⁰, read without the project's code.
fn units(text: &str) -> i128 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{part:0<10}").parse().unwrap()
}

type Side = BTreeMap<i128, i128>;

/// What the raw frames make of the book.
#[derive(Default)]
pub(crate) struct Rebuild {
    bids: Side,
    asks: Side,
    low: i128,
    high: i128,
    pub(crate) update: u64,
}

impl Rebuild {
    fn set(side: &mut Side, rows: &Value) {
        for row in rows.as_array().unwrap() {
            let (price, qty) = (units(row[0].as_str().unwrap()), units(row[1].as_str().unwrap()));
            side.remove(&price);
            if qty != 0 {
                side.insert(price, qty);
            }
        }
    }

    pub(crate) fn start(snapshot: &Value) -> Self {
        let mut rebuild = Self { update: snapshot["lastUpdateId"].as_u64().unwrap(), ..Self::default() };
        Self::set(&mut rebuild.bids, &snapshot["bids"]);
        Self::set(&mut rebuild.asks, &snapshot["asks"]);
        rebuild.low = *rebuild.bids.keys().next().unwrap();
        rebuild.high = *rebuild.asks.keys().next_back().unwrap();
        rebuild
    }

    pub(crate) fn change(&mut self, data: &Value) {
        Self::set(&mut self.bids, &data["b"]);
        Self::set(&mut self.asks, &data["a"]);
        self.update = data["u"].as_u64().unwrap();
    }

    fn covered(&self) -> (Rows, Rows) {
        let rows = |(price, qty): (&i128, &i128)| (*price, *qty);
        let bids = self.bids.range(self.low..).map(rows).rev().collect();
        (bids, self.asks.range(..=self.high).map(rows).collect())
    }

    /// Is this book the rebuilt one, level by level, within the covered range?
    pub(crate) fn check(&self, depth: &Depth) {
        let rows = |levels: &[Level], inside: &dyn Fn(i128) -> bool| -> Rows {
            let rows = levels.iter().map(|level| (level.price.raw(), level.qty.raw()));
            rows.filter(|(price, _)| inside(*price)).collect()
        };
        let bids = rows(&depth.bids, &|price| price >= self.low);
        let asks = rows(&depth.asks, &|price| price <= self.high);
        assert_eq!(depth.update_id, self.update);
        assert!((bids, asks) == self.covered(), "at update {}", self.update);
    }

    /// As the venue would tell it now.
    pub(crate) fn snapshot(&self) -> Value {
        let text = |units: i128| format!("{}.{:010}", units / 10_000_000_000, units % 10_000_000_000);
        let (bids, asks) = self.covered();
        let rows = |side: Vec<(i128, i128)>| -> Vec<[String; 2]> {
            side.into_iter().map(|(price, qty)| [text(price), text(qty)]).collect()
        };
        json!({"lastUpdateId": self.update, "bids": rows(bids), "asks": rows(asks)})
    }
}
