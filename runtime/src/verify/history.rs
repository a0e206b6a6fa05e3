//! Single fills and the ends of orders, as the exchange tells of them, against the journal's records.
//!
//! Of each symbol the latest [`LATEST`] of both are compared, and all that came after them. What is nobody's here is
//! passed over: it is in the sums. So is what the exchange shows no more.

use std::collections::{BTreeMap, BTreeSet};

use tradingsys::ids::{ClientOrderId, Install, Symbol, TradeId, VenueOrderId};
use tradingsys::journal::{FillRecord, Record};
use tradingsys::market::OrderStatus;
use tradingsys::num::Qty;
use tradingsys::time::Time;
use tradingsys::venue::port::{Answer, Fill, OrderReport, Query, VenueStatus};

/// So many fills, and orders, of each symbol are compared.
const LATEST: usize = 1_000;
/// As many come in one answer.
const PAGE: usize = 1_000;

/// Fills as the exchange tells them.
type Told<'a> = BTreeMap<(TradeId, VenueOrderId), &'a Fill>;

/// A session's order as the journal has it.
struct Known<'a> {
    id: &'a ClientOrderId,
    state: &'a str,
    filled: Qty,
}

/// What the journal has of one symbol.
#[derive(Default)]
struct Here<'a> {
    fills: BTreeMap<(TradeId, VenueOrderId), &'a FillRecord>,
    orders: BTreeMap<VenueOrderId, Known<'a>>,
}

/// What the journal has of fills and of sessions' orders.
pub(super) struct History<'a> {
    symbols: BTreeMap<Symbol, Here<'a>>,
    /// Orders without a number at the exchange: refused, or found not to be placed.
    unnumbered: BTreeMap<&'a ClientOrderId, &'a str>,
    install: Install,
}

/// What was compared, and what differs, in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) wrong: Vec<String>,
    pub(super) fills: usize,
    pub(super) orders: usize,
}

impl<'a> History<'a> {
    /// Fills from `since` on: older ones the exchange does not show any more.
    pub(super) fn of(records: &'a [Record], install: Install, since: Option<Time>) -> Self {
        let mut owned: BTreeMap<&ClientOrderId, &Symbol> = BTreeMap::new();
        let mut unnumbered = BTreeMap::new();
        let mut symbols: BTreeMap<Symbol, Here<'a>> = BTreeMap::new();
        for record in records {
            match record {
                Record::Order(order) if order.session.is_some() => {
                    owned.insert(&order.id, &order.symbol);
                }
                Record::OrderState(state) => match (owned.get(&state.id), state.venue_id) {
                    (Some(symbol), Some(venue_id)) => {
                        let known = Known { id: &state.id, state: &state.state, filled: state.filled };
                        symbols.entry((*symbol).clone()).or_default().orders.insert(venue_id, known);
                        unnumbered.remove(&state.id);
                    }
                    (Some(_), None) => drop(unnumbered.insert(&state.id, state.state.as_str())),
                    (None, _) => {}
                },
                Record::Fill(fill)
                    if fill.session.is_some() && since.is_none_or(|since| fill.time >= since) =>
                {
                    let here = symbols.entry(fill.symbol.clone()).or_default();
                    here.fills.insert((fill.trade_id, fill.venue_id), fill);
                }
                _ => {}
            }
        }
        Self { symbols, unnumbered, install }
    }

    /// What to ask the exchange, first page of each.
    pub(super) fn questions(&self) -> Vec<Query> {
        let of = |(symbol, here): (&Symbol, &Here<'_>)| {
            let fill = here.fills.keys().rev().take(LATEST).next_back();
            let order = here.orders.keys().rev().take(LATEST).next_back();
            let trades = fill.map(|(from, _)| Query::TradesFrom { symbol: symbol.clone(), from: *from });
            let orders = order.map(|from| Query::OrdersFrom {
                symbol: symbol.clone(),
                from: *from,
                conditional: false,
            });
            trades.into_iter().chain(orders)
        };
        self.symbols.iter().flat_map(of).collect()
    }

    /// The question for the page after this one, if there is one.
    pub(super) fn next(question: &Query, answer: &Answer) -> Option<Query> {
        match (question, answer) {
            (Query::TradesFrom { symbol, from }, Answer::Trades(page)) if page.len() >= PAGE => {
                let last = page.iter().map(|fill| fill.trade_id).max()?;
                // Both sides of a trade with oneself have its number: it is asked for again.
                let from = if last > *from { last } else { last + 1 };
                Some(Query::TradesFrom { symbol: symbol.clone(), from })
            }
            (Query::OrdersFrom { symbol, conditional, .. }, Answer::Orders(page)) if page.len() >= PAGE => {
                let from = page.iter().map(|order| order.venue_id).max()? + 1;
                Some(Query::OrdersFrom { symbol: symbol.clone(), from, conditional: *conditional })
            }
            _ => None,
        }
    }

    pub(super) fn compare(&self, answers: &[(Query, Answer)]) -> Compared {
        let mut found = Compared::default();
        let mut told: BTreeMap<&Symbol, (TradeId, Told<'_>)> = BTreeMap::new();
        let mut cut: BTreeSet<&Symbol> = BTreeSet::new();
        // Numbers of orders of ours that have none here.
        let mut strangers: BTreeMap<(&Symbol, VenueOrderId), ClientOrderId> = BTreeMap::new();
        for (question, answer) in answers {
            match (question, answer) {
                (Query::TradesFrom { symbol, from }, Answer::Trades(page)) => {
                    let page = page.iter().map(|fill| ((fill.trade_id, fill.venue_id), fill));
                    told.entry(symbol).or_insert_with(|| (*from, BTreeMap::new())).1.extend(page);
                }
                (Query::OrdersFrom { symbol, .. }, Answer::Orders(page)) => {
                    for report in page {
                        if let Some(id) = self.order(symbol, report, &mut found) {
                            strangers.insert((symbol, report.venue_id), id);
                        }
                    }
                }
                // What was not told of cannot be missed.
                (Query::TradesFrom { symbol, .. }, _) => drop(cut.insert(symbol)),
                _ => {}
            }
        }
        for (symbol, (from, told)) in told {
            let to_the_end = !cut.contains(symbol);
            self.fills(symbol, (from, to_the_end), &told, &strangers, &mut found);
        }
        found
    }

    /// Compares an order; its id, if it is one of ours without a number here.
    fn order(&self, symbol: &Symbol, report: &OrderReport, found: &mut Compared) -> Option<ClientOrderId> {
        if let Some(known) = self.symbols.get(symbol).and_then(|here| here.orders.get(&report.venue_id)) {
            found.orders += 1;
            found.wrong.extend(of_order(known, report));
            return None;
        }
        let id = report.client_id.stem();
        id.parts().filter(|parts| parts.install == self.install)?;
        if let (Some(state), false) = (self.unnumbered.get(&id), report.status == VenueStatus::Rejected) {
            found.wrong.push(format!("order {id} is {state} in the books, and the exchange has it"));
        }
        Some(id)
    }

    fn fills(
        &self,
        symbol: &Symbol,
        (from, to_the_end): (TradeId, bool),
        told: &Told<'_>,
        strangers: &BTreeMap<(&Symbol, VenueOrderId), ClientOrderId>,
        found: &mut Compared,
    ) {
        let Some(here) = self.symbols.get(symbol) else { return };
        for (key, fill) in told {
            if let Some(booked) = here.fills.get(key) {
                found.fills += 1;
                found.wrong.extend(of_fill(booked, fill));
                continue;
            }
            let known = here.orders.get(&fill.venue_id).map(|order| order.id);
            if let Some(id) = known.or_else(|| strangers.get(&(symbol, fill.venue_id))) {
                found.wrong.push(format!("trade {} of order {id} is not in the books", key.0));
            }
        }
        let gone = here.fills.range((from, 0)..).filter(|(key, _)| to_the_end && !told.contains_key(key));
        found.wrong.extend(gone.map(|((trade, order), _)| {
            let name = format!("trade {trade} of {symbol}, order number {order},");
            format!("{name} is in the books, and not at the exchange")
        }));
    }
}

fn of_fill(booked: &FillRecord, told: &Fill) -> Option<String> {
    let here = (booked.side, booked.price, booked.qty, booked.quote);
    let there = (told.side, told.price, told.qty, told.quote);
    // Of a fee of nothing older journals may have an asset.
    let fee_here = (booked.fee, booked.fee_asset.as_ref().filter(|_| !booked.fee.is_zero()), booked.maker);
    let fee_there = (told.fee, told.fee_asset.as_ref().filter(|_| !told.fee.is_zero()), told.maker);
    let name = format!("trade {} of {}", told.trade_id, told.symbol);
    if here != there {
        return Some(format!("{name}: the books have {here:?}, the exchange says {there:?}"));
    }
    (fee_here != fee_there)
        .then(|| format!("{name}: a fee of {fee_here:?} in the books, of {fee_there:?} at the exchange"))
}

/// How it ended and what was filled. An end that nobody saw is told as expired, which says nothing of how; what is open
/// in the books is compared with the open orders.
fn of_order(known: &Known<'_>, report: &OrderReport) -> Option<String> {
    let there = report.status.end()?;
    let here = OrderStatus::from_word(known.state).filter(|state| state.is_terminal())?;
    if here != there && !matches!(here, OrderStatus::Expired | OrderStatus::ExpiredInMatch) {
        return Some(format!("order {} is {here} in the books, and {there} at the exchange", known.id));
    }
    (known.filled != report.filled).then(|| {
        format!("order {}: filled {} in the books, {} at the exchange", known.id, known.filled, report.filled)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tradingsys::ids::IdParts;
    use tradingsys::market::Side;
    use tradingsys::num::{Cash, Price};

    use super::*;

    const ID: &str = "o00005-16md70001-00013";

    fn doge() -> Symbol {
        Symbol::new("dogeusdt")
    }

    fn record(text: &serde_json::Value) -> Record {
        serde_json::from_value(text.clone()).unwrap()
    }

    fn booked(trade_id: u64, session: Option<u16>) -> Record {
        record(&json!({
            "kind": "fill", "symbol": "dogeusdt", "trade_id": trade_id, "venue_id": 7, "order": ID, "session": session,
            "side": "BUY", "price": "0.2", "qty": "10", "quote": "2", "fee": "0.01", "fee_asset": "DOGE",
            "maker": false, "time": 5,
        }))
    }

    /// An order of session 1, filled by trades 3 and 4, and a trade of nobody here.
    fn journal(state: &str, filled: &str) -> Vec<Record> {
        let order = json!({
            "kind": "order", "id": ID, "session": 1, "symbol": "dogeusdt", "side": "BUY", "order_type": "MARKET",
            "qty": "20", "time": 4,
        });
        let state = json!({
            "kind": "order_state", "id": ID, "state": state, "venue_id": 7, "filled": filled, "time": 5,
        });
        vec![record(&order), booked(3, Some(1)), booked(4, Some(1)), booked(9, None), record(&state)]
    }

    fn trade(trade_id: u64, venue_id: u64, qty: &str) -> Fill {
        let (price, fee): (Price, Cash) = ("0.2".parse().unwrap(), "0.01".parse().unwrap());
        Fill {
            symbol: doge(),
            trade_id,
            venue_id,
            side: Side::Buy,
            price,
            qty: qty.parse().unwrap(),
            quote: "2".parse().unwrap(),
            realised: None,
            fee,
            fee_asset: Some(tradingsys::ids::Asset::new("DOGE")),
            maker: false,
            time: Time::from_nanos(5),
        }
    }

    fn order(venue_id: u64, status: VenueStatus, filled: &str) -> OrderReport {
        OrderReport {
            symbol: doge(),
            venue_id,
            conditional_id: None,
            client_id: ClientOrderId::foreign(ID),
            previous_id: None,
            side: Side::Buy,
            order_type: None,
            tif: None,
            price: Price::ZERO,
            stop: Price::ZERO,
            instructions: Default::default(),
            qty: "20".parse().unwrap(),
            filled: filled.parse().unwrap(),
            status,
            reason: None,
            time: Time::from_nanos(5),
            fill: None,
            forced: None,
        }
    }

    fn history(records: &[Record]) -> History<'_> {
        History::of(records, "00005".parse().unwrap(), None)
    }

    fn compared(records: &[Record], trades: Vec<Fill>, orders: Vec<OrderReport>) -> Compared {
        let history = history(records);
        let answers = [Answer::Trades(trades), Answer::Orders(orders)];
        let asked = history.questions().into_iter().zip(answers);
        history.compare(&asked.collect::<Vec<_>>())
    }

    #[test]
    fn what_both_have_is_no_difference_and_what_is_nobodys_is_passed_over() {
        let records = journal("FILLED", "20");
        let from = |from| Query::TradesFrom { symbol: doge(), from };
        let orders = |from| Query::OrdersFrom { symbol: doge(), from, conditional: false };
        assert_eq!(history(&records).questions(), [from(3), orders(7)]);
        let trades = vec![trade(3, 7, "10"), trade(4, 7, "10"), trade(5, 8, "1")];
        let foreign = ClientOrderId::foreign("web_1");
        let by_hand = OrderReport { client_id: foreign, ..order(8, VenueStatus::Filled, "1") };
        let ends = vec![order(7, VenueStatus::Filled, "20"), by_hand];
        assert_eq!(compared(&records, trades, ends), Compared { wrong: Vec::new(), fills: 2, orders: 1 });
    }

    #[test]
    fn each_kind_of_difference_is_told() {
        let all = || vec![trade(3, 7, "10"), trade(4, 7, "10")];
        let ended = |status, filled| vec![order(7, status, filled)];
        let filled = || ended(VenueStatus::Filled, "20");
        let cases = [
            (
                "FILLED",
                vec![trade(3, 7, "10")],
                filled(),
                "trade 4 of dogeusdt, order number 7, is in the books, and not",
            ),
            (
                "FILLED",
                [all(), vec![trade(6, 7, "1")]].concat(),
                filled(),
                "trade 6 of order o00005-16md70001-00013 is not in",
            ),
            (
                "FILLED",
                vec![trade(3, 7, "9"), trade(4, 7, "10")],
                filled(),
                "trade 3 of dogeusdt: the books have",
            ),
            (
                "FILLED",
                vec![Fill { maker: true, ..trade(3, 7, "10") }, trade(4, 7, "10")],
                filled(),
                "trade 3 of dogeusdt: a fee of",
            ),
            ("CANCELED", all(), filled(), "is CANCELED in the books, and FILLED at the exchange"),
            ("FILLED", all(), ended(VenueStatus::Filled, "21"), "filled 20 in the books, 21 at the exchange"),
            (
                "EXPIRED",
                all(),
                ended(VenueStatus::Canceled, "19"),
                "filled 20 in the books, 19 at the exchange",
            ),
        ];
        for (state, trades, orders, told) in cases {
            let wrong = compared(&journal(state, "20"), trades, orders).wrong;
            assert!(wrong.len() == 1 && wrong[0].contains(told), "{told}: {wrong:?}");
        }
        // How one ended that is called expired nobody saw; what is open is compared elsewhere.
        for (state, status) in
            [("EXPIRED", VenueStatus::Canceled), ("NEW", VenueStatus::Filled), ("FILLED", VenueStatus::New)]
        {
            assert_eq!(compared(&journal(state, "20"), all(), ended(status, "20")).wrong, [""; 0], "{state}");
        }
    }

    #[test]
    fn an_order_of_ours_that_has_no_number_here_is_known_by_its_id() {
        let mut records = journal("FILLED", "20");
        let id = ClientOrderId::mint(IdParts { command: 2, ..ClientOrderId::foreign(ID).parts().unwrap() });
        let mut text = serde_json::to_value(&records[0]).unwrap();
        text["id"] = json!(id.as_str());
        records.push(record(&text));
        records.push(record(&json!({
            "kind": "order_state", "id": id.as_str(), "state": "NOT_PLACED", "filled": "0", "time": 5,
        })));
        let placed = OrderReport { client_id: id.clone(), ..order(8, VenueStatus::Filled, "1") };
        let refused = OrderReport { status: VenueStatus::Rejected, ..placed.clone() };
        let both = || vec![trade(3, 7, "10"), trade(4, 7, "10")];
        let trades = [both(), vec![trade(5, 8, "1")]].concat();
        let told = compared(&records, trades, vec![order(7, VenueStatus::Filled, "20"), placed]).wrong;
        assert_eq!(
            told,
            [
                format!("order {id} is NOT_PLACED in the books, and the exchange has it"),
                format!("trade 5 of order {id} is not in the books"),
            ]
        );
        assert_eq!(compared(&records, both(), vec![refused]).wrong, [""; 0]);
    }

    #[test]
    fn what_the_exchange_shows_no_more_or_did_not_answer_is_not_missed() {
        let records = journal("FILLED", "20");
        let late = History::of(&records, "00005".parse().unwrap(), Some(Time::from_nanos(6)));
        assert_eq!(late.questions().len(), 1, "orders only");
        let history = history(&records);
        let first = (history.questions().remove(0), Answer::Trades(vec![trade(3, 7, "10")]));
        let failed = (Query::TradesFrom { symbol: doge(), from: 3 }, Answer::Failed("-1001".to_owned()));
        assert_eq!(history.compare(&[first, failed]).wrong, [""; 0]);
    }

    #[test]
    fn a_full_page_is_followed_by_the_next_and_only_the_latest_are_asked_for() {
        let from = |from| Query::TradesFrom { symbol: doge(), from };
        let orders = |from| Query::OrdersFrom { symbol: doge(), from, conditional: false };
        let trades =
            |first: u64| Answer::Trades((first..first + 1_000).map(|id| trade(id, 7, "1")).collect());
        assert_eq!(History::next(&from(3), &trades(3)), Some(from(1_002)));
        let one = Answer::Trades((0..1_000).map(|number| trade(3, number, "1")).collect());
        assert_eq!(History::next(&from(3), &one), Some(from(4)), "it goes on");
        assert_eq!(History::next(&from(3), &Answer::Trades(vec![trade(3, 7, "1")])), None);
        let page = (0..1_000).map(|number| order(number, VenueStatus::Filled, "1")).collect();
        assert_eq!(History::next(&orders(0), &Answer::Orders(page)), Some(orders(1_000)));
        let mut records = journal("FILLED", "20");
        records.extend((10..2_000).map(|id| booked(id, Some(1))));
        assert_eq!(history(&records).questions()[0], from(1_000));
    }
}
