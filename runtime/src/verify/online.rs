//! What the exchange says, against what the journal makes. It is asked, and nothing is changed there.

use std::collections::BTreeSet;

use tradingsys::gateway::Gateway;
use tradingsys::ids::{Asset, Symbol};
use tradingsys::journal::Record;
use tradingsys::num::Cash;
use tradingsys::time::{Span, Time};
use tradingsys::venue::port::{Answer, Balance, OrderReport, Query};

use super::history::{Compared, History};
use crate::check::{Inquiry, Shown};
use crate::cli::show;
use crate::config::Config;
use crate::exit::Exit;
use crate::key::passphrase::Source;
use crate::{Connect, VenueSetup, check, key, run};

/// What the exchange shows for so long, it shows for that long within a day or so.
const A_DAY: Span = Span::from_secs(24 * 3_600);

/// Compares balances, positions, open orders, and the latest fills and ends of orders, and prints a line for each
/// difference, or that there is none.
pub(super) fn compare(
    connect: Connect,
    config: &Config,
    gateway: &Gateway,
    (records, now): (&[Record], Time),
    passphrase: &Source,
) -> Result<(), Exit> {
    let key = key::load(&config.pem, passphrase)?;
    let setup = VenueSetup { config, key, seed: run::seed()?, only_looks: true };
    let ports = connect(setup);
    let since = ports.1.shows_trades_of().map(|shown| now - shown + A_DAY);
    let history = History::of(records, config.install, since);
    let inquiry = Inquiry { questions: history.questions(), next: Some(History::next) };
    let Shown { balances, open, answers, instruments } = check::account(config, ports, inquiry)?;
    let mut wrong = assets(gateway, &balances);
    wrong.extend(orders(gateway, &open));
    let Compared { wrong: differing, fills, orders: ended } = history.compare(&answers);
    wrong.extend(differing);
    let listed = |symbol: &Symbol| instruments.iter().any(|instrument| instrument.symbol == *symbol);
    let unanswered = unanswered(&answers, listed);
    if wrong.is_empty() {
        let (assets, open) = (balances.len(), open.len());
        let sums = format!("{assets} assets and {open} open orders as in the books");
        show(&format!("ok   exchange: {sums}, {fills} fills and {ended} orders as recorded"));
        return unanswered;
    }
    for reason in &wrong {
        show(&format!("fail exchange: {reason}"));
    }
    Err(Exit::configuration(format!(
        "{} differences between the books and the exchange; what happened while the gateway was stopped is booked at its \
         next start, what is left then is shown as unattributed",
        wrong.len()
    )))
}

/// Of what is listed no more the exchange may tell nothing; anything else it should have answered.
fn unanswered(answers: &[(Query, Answer)], listed: impl Fn(&Symbol) -> bool) -> Result<(), Exit> {
    let mut missing = Ok(());
    for (question, answer) in answers {
        let (Query::TradesFrom { symbol, .. } | Query::OrdersFrom { symbol, .. }, Answer::Failed(reason)) =
            (question, answer)
        else {
            continue;
        };
        let words = format!("not all fills and orders of {symbol} were compared: {reason}");
        show(&format!("warn exchange: {words}"));
        if listed(symbol) {
            missing = Err(Exit::unreachable(words));
        }
    }
    missing
}

/// Sums of all owners, contracts among them, against free and locked less borrowed.
fn assets(gateway: &Gateway, balances: &[Balance]) -> Vec<String> {
    let mut all: BTreeSet<&Asset> = gateway.books().assets().map(|(_, asset, _)| asset).collect();
    all.extend(balances.iter().map(|balance| &balance.asset));
    let differing = all.into_iter().filter_map(|asset| {
        let books = gateway.books().total(asset);
        let there = balances.iter().find(|b| b.asset == *asset).map_or(Cash::ZERO, Balance::net);
        (books != there).then(|| format!("{asset}: the books make {books}, the exchange says {there}"))
    });
    differing.collect()
}

/// Open orders on both sides. Those that wait among a venue's conditional orders are none of its open ones.
fn orders(gateway: &Gateway, open: &[OrderReport]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut met = BTreeSet::new();
    for report in open {
        let known = gateway.orders().by_venue(&report.symbol, report.venue_id);
        match known.or_else(|| gateway.orders().get(&report.client_id.stem())) {
            Some(order) if !order.state.is_over() => drop(met.insert(order.id.clone())),
            Some(order) => {
                wrong.push(format!("order {} is over in the books, and open at the exchange", order.id))
            }
            None => {
                wrong.push(format!("order {} of {} is not in the books", report.client_id, report.symbol))
            }
        }
    }
    let gone = gateway.orders().open().filter(|order| !order.waits() && !met.contains(&order.id));
    wrong.extend(
        gone.map(|order| format!("order {} is open in the books, and not at the exchange", order.id)),
    );
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_no_more_may_stay_unanswered() {
        let symbol = Symbol::new("dogeusdt");
        let asked = |answer| [(Query::TradesFrom { symbol: symbol.clone(), from: 3 }, answer)];
        let failed = asked(Answer::Failed("-1121 Invalid symbol.".to_owned()));
        assert!(unanswered(&failed, |_| false).is_ok());
        let exit = unanswered(&failed, |listed| *listed == symbol).unwrap_err();
        assert!(exit.message.contains("of dogeusdt were compared: -1121"), "{}", exit.message);
        assert!(unanswered(&asked(Answer::Trades(Vec::new())), |_| true).is_ok());
    }
}
