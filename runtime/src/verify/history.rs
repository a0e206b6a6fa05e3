//! Single fills and the ends of orders, as the exchange tells of them, against the journal's records.
//!
//! Of each symbol the latest [`LATEST`] of both are compared, and all that came after them. What is nobody's here is
//! passed over: it is in the sums.

use std::collections::BTreeMap;

use tradingsys::ids::{ClientOrderId, Symbol, TradeId, VenueOrderId};
use tradingsys::journal::{FillRecord, Record};
use tradingsys::market::OrderStatus;
use tradingsys::num::Qty;
use tradingsys::venue::port::{Answer, Fill, OrderReport, Query};

/// So many fills, and orders, of each symbol are compared.
const LATEST: usize = 1_000;
/// As many come in one answer.
const PAGE: usize = 1_000;

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
}

impl<'a> History<'a> {
    pub(super) fn of(records: &'a [Record]) -> Self {
        let mut owned: BTreeMap<&ClientOrderId, &Symbol> = BTreeMap::new();
        let mut symbols: BTreeMap<Symbol, Here<'a>> = BTreeMap::new();
        for record in records {
            match record {
                Record::Order(order) if order.session.is_some() => {
                    owned.insert(&order.id, &order.symbol);
                }
                Record::OrderState(state) => {
                    if let (Some(symbol), Some(venue_id)) = (owned.get(&state.id), state.venue_id) {
                        let known = Known { id: &state.id, state: &state.state, filled: state.filled };
                        symbols.entry((*symbol).clone()).or_default().orders.insert(venue_id, known);
                    }
                }
                Record::Fill(fill) if fill.session.is_some() => {
                    let here = symbols.entry(fill.symbol.clone()).or_default();
                    here.fills.insert((fill.trade_id, fill.venue_id), fill);
                }
                _ => {}
            }
        }
        Self { symbols }
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

    /// What differs, in words, and how many fills and orders were compared.
    pub(super) fn compare(&self, answers: &[(Query, Answer)]) -> (Vec<String>, usize, usize) {
        let (mut wrong, mut fills, mut orders) = (Vec::new(), 0, 0);
        let mut first: BTreeMap<&Symbol, TradeId> = BTreeMap::new();
        let mut told: BTreeMap<&Symbol, BTreeMap<(TradeId, VenueOrderId), &Fill>> = BTreeMap::new();
        for (question, answer) in answers {
            match (question, answer) {
                (Query::TradesFrom { symbol, from }, Answer::Trades(page)) => {
                    first.entry(symbol).or_insert(*from);
                    let page = page.iter().map(|fill| ((fill.trade_id, fill.venue_id), fill));
                    told.entry(symbol).or_default().extend(page);
                }
                (Query::OrdersFrom { symbol, .. }, Answer::Orders(page)) => {
                    let Some(here) = self.symbols.get(symbol) else { continue };
                    for report in page {
                        let Some(known) = here.orders.get(&report.venue_id) else { continue };
                        orders += 1;
                        wrong.extend(of_order(known, report));
                    }
                }
                _ => {}
            }
        }
        for (symbol, told) in &told {
            let (Some(here), Some(from)) = (self.symbols.get(*symbol), first.get(symbol)) else { continue };
            for (key, fill) in told {
                match (here.fills.get(key), here.orders.get(&fill.venue_id)) {
                    (Some(booked), _) => {
                        fills += 1;
                        wrong.extend(of_fill(booked, fill));
                    }
                    (None, Some(order)) => {
                        wrong.push(format!("trade {} of order {} is not in the books", key.0, order.id));
                    }
                    (None, None) => {}
                }
            }
            let gone = here.fills.range((*from, 0)..).filter(|(key, _)| !told.contains_key(key));
            wrong.extend(gone.map(|((trade, order), _)| {
                let name = format!("trade {trade} of {symbol}, order number {order},");
                format!("{name} is in the books, and not at the exchange")
            }));
        }
        (wrong, fills, orders)
    }
}

fn of_fill(booked: &FillRecord, told: &Fill) -> Option<String> {
    let here = (booked.side, booked.price, booked.qty, booked.quote);
    let there = (told.side, told.price, told.qty, told.quote);
    let fee_here = (booked.fee, &booked.fee_asset, booked.maker);
    let fee_there = (told.fee, &told.fee_asset, told.maker);
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
    use tradingsys::market::Side;
    use tradingsys::num::{Cash, Price};
    use tradingsys::time::Time;
    use tradingsys::venue::port::VenueStatus;

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

    fn compared(
        records: &[Record],
        trades: Vec<Fill>,
        orders: Vec<OrderReport>,
    ) -> (Vec<String>, usize, usize) {
        let history = History::of(records);
        let answers = [Answer::Trades(trades), Answer::Orders(orders)];
        let asked = history.questions().into_iter().zip(answers);
        history.compare(&asked.collect::<Vec<_>>())
    }

    #[test]
    fn what_both_have_is_no_difference_and_what_is_nobodys_is_passed_over() {
        let records = journal("FILLED", "20");
        let from = |from| Query::TradesFrom { symbol: doge(), from };
        let orders = |from| Query::OrdersFrom { symbol: doge(), from, conditional: false };
        assert_eq!(History::of(&records).questions(), [from(3), orders(7)]);
        let trades = vec![trade(3, 7, "10"), trade(4, 7, "10"), trade(5, 8, "1")];
        let ends = vec![order(7, VenueStatus::Filled, "20"), order(8, VenueStatus::Filled, "1")];
        assert_eq!(compared(&records, trades, ends), (Vec::new(), 2, 1));
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
            let (wrong, ..) = compared(&journal(state, "20"), trades, orders);
            assert!(wrong.len() == 1 && wrong[0].contains(told), "{told}: {wrong:?}");
        }
        // How one ended that is called expired nobody saw; what is open is compared elsewhere.
        for (state, status) in
            [("EXPIRED", VenueStatus::Canceled), ("NEW", VenueStatus::Filled), ("FILLED", VenueStatus::New)]
        {
            assert_eq!(compared(&journal(state, "20"), all(), ended(status, "20")).0, [""; 0], "{state}");
        }
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
        assert_eq!(History::of(&records).questions()[0], from(1_000));
    }
}
